package play

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"vmgpu.io/e2e/kube"
)

const launcherUser = 107 // qemu, in virt-launcher's image

// phaseByLauncher is what virt-handler makes of a launcher that a kubelet runs: while it runs the VMI does, and has what it was given.
func phaseByLauncher(phase string, pod kube.Object) string {
	of := pod.Str("status.phase")
	switch {
	case phase != "Scheduled" && phase != "Running":
		return phase
	case of == "Failed":
		return "Failed"
	case pod == nil || of == "Succeeded":
		return "Succeeded"
	case of == "Running":
		return "Running"
	}
	return phase
}

// handDevices does what virt-handler does before a virtual machine starts (kubevirt, cmd/virt-handler and non-root.go, prepareVFIO): the
// device nodes that a container got are root's, and the launcher is not. They are changed in the container, by way of a process of it.
func handDevices(root, pod string) error {
	procs, err := filepath.Glob(filepath.Join(root, "sys/fs/cgroup/kubepods", "*", "pod"+pod, "*", "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, file := range procs {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the container has ended
		}
		for _, pid := range strings.Fields(string(text)) {
			if err := handVFIO(filepath.Join(root, "proc", pid, "root/dev/vfio")); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
	}
	return nil
}

// handVFIO changes nothing where there is no container device, as virt-handler.
func handVFIO(folder string) error {
	if err := os.Chmod(filepath.Join(folder, "vfio"), 0o666); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := os.Chown(filepath.Join(folder, e.Name()), launcherUser, launcherUser); err != nil {
			return fmt.Errorf("giving %s to the launcher: %w", e.Name(), err)
		}
	}
	return nil
}
