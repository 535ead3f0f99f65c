/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of virtual functions and vGPUs on a tree of files (tree_test.h). write(2) is played: it can
 * fail as the kernel does, and what was written has the effect of the kernel and of NVIDIA's driver on
 * the tree; so is time, which passes when somebody sleeps.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/tool.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/write.h"

static struct tree tree = {.fd = -1};

/* --- the kernel ---------------------------------------------------------------------------- */

static struct {
	bool on;
	int error, take; /* of writes to the tree; take -1: all */
	bool lies;	 /* takes it and does nothing */
	int naps;	 /* so often somebody slept */
	void (*asleep)(void);
	struct buf log;
} kernel;

#define CARD "devices/pci0000:01/0000:01:00.0"
#define VF0 "devices/pci0000:01/0000:01:00.4"

static void make_vfs(int n)
{
	auto_free char *text = xprintf("vfs 0000:01:00.0 first=0000:01:00.4 count=%d id=10de:26b9 "
				       "driver=nvidia group=20\n",
				       n);

	if (n) {
		tree_add(&tree, text);
	}
}

static void make_mdev(const char *path, const char *uuid)
{
	auto_free char *type_path = xstrndup(path, strlen(path) - strlen("/create"));
	auto_free char *dir = xstrndup(path,
				       (size_t)(strstr(path, "/mdev_supported_types") - path)),
		       *remove = xprintf("%s/%s/remove", dir, uuid),
		       *link = xprintf("%s/%s/mdev_type", dir, uuid),
		       *to = xprintf("../mdev_supported_types/%s", strrchr(type_path, '/') + 1),
		       *left = xprintf("%s/available_instances", type_path);

	tree_file(&tree, remove, "");
	tree_link(&tree, link, to);
	tree_file(&tree, left, "0");
}

static void remove_mdev(const char *path)
{
	auto_free char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path)),
		       *link = xprintf("%s/mdev_type", dir);

	unlinkat(tree.fd, path, 0);
	unlinkat(tree.fd, link, 0);
	unlinkat(tree.fd, dir, AT_REMOVEDIR);
}

static void kernel_effect(const char *path, const char *text)
{
	const char *file = strrchr(path, '/') + 1;

	if (str_eq(file, "sriov_numvfs")) {
		make_vfs((int)strtol(text, NULL, 10));
	} else if (str_eq(file, "create")) {
		make_mdev(path, text);
	} else if (str_eq(file, "remove")) {
		remove_mdev(path);
	}
}

static char *path_in_tree(int fd)
{
	auto_free char *link = xprintf("/proc/self/fd/%d", fd);
	char target[512];
	ssize_t n = readlink(link, target, sizeof(target) - 1);

	target[MAX(n, 0)] = '\0';
	return tree.root && str_starts(target, tree.root) ? xstrdup(target + strlen(tree.root) + 1)
							  : NULL;
}

ssize_t write(int fd, const void *bytes, size_t n);
ssize_t write(int fd, const void *bytes, size_t n)
{
	auto_free char *path = kernel.on ? path_in_tree(fd) : NULL,
		       *text = path ? xstrndup(bytes, n) : NULL;

	if (path && kernel.error) {
		errno = kernel.error;
		return -1;
	}
	if (path && kernel.take >= 0) {
		return kernel.take;
	}
	if (path && kernel.lies) {
		return (ssize_t)n;
	}
	if (path) {
		buf_printf(&kernel.log, "%s: %s\n", path + strlen("devices/pci0000:01/"), text);
		(void)!ftruncate(fd, 0);
	}
	n = (size_t)syscall(SYS_write, fd, bytes, n);
	if (path) {
		kernel.on = false;
		kernel_effect(path, text);
		kernel.on = true;
	}
	return (ssize_t)n;
}

int nanosleep(const struct timespec *t, struct timespec *left);
int nanosleep(attr_unused const struct timespec *t, attr_unused struct timespec *left)
{
	kernel.naps++;
	if (kernel.asleep) {
		kernel.on = false;
		kernel.asleep();
		kernel.on = true;
	}
	return 0;
}

/* --- the machine --------------------------------------------------------------------------- */

#define GPU 0x100
#define VF 0x104
#define UUID "6b4c2f16-0000-4000-8000-00000000abcd"

static const char machine[] =
	"device 0000:01:00.0 id=10de:26b9 class=030200 driver=nvidia group=7\n"
	"  sriov_totalvfs = 32\n"
	"  sriov_numvfs = 0\n"
	"  sriov_drivers_autoprobe = 1\n"
	"device 0000:02:00.0 id=144d:a80a class=010802 driver=nvme group=8\n"
	"  sriov_numvfs = 0\n";

static char *out;
static const char *tool;

static void begin(const char *more)
{
	if (tree.root) {
		tree_remove(&tree);
	}
	buf_finish(&kernel.log);
	memset(&kernel, 0, sizeof(kernel));
	kernel.take = -1;
	buf_init(&kernel.log, MiB);
	tree = (struct tree){.fd = -1};
	tree = tree_make(machine);
	tree_add(&tree, more);
	free(take(out));
	tool = NULL;
}

/* Four virtual functions with vendor VFIO; the first offers two types. */
static void begin_vendor(void)
{
	begin("");
	make_vfs(4);
	tree_file(&tree, CARD "/sriov_numvfs", "4");
	tree_file(&tree, VF0 "/nvidia/creatable_vgpu_types",
		  "ID    : vGPU Name\\n1147  : NVIDIA L40S-1Q\\n1148  : NVIDIA L40S-2Q");
	tree_file(&tree, VF0 "/nvidia/current_vgpu_type", "0");
}

static void begin_mdev(void)
{
	begin("");
	make_vfs(2);
	tree_file(&tree, VF0 "/mdev_supported_types/vfio-pci-745/name", "NVIDIA A2-2Q");
	tree_file(&tree, VF0 "/mdev_supported_types/vfio-pci-745/available_instances", "1");
	tree_file(&tree, VF0 "/mdev_supported_types/vfio-pci-745/create", "");
	tree_file(&tree, VF0 "/mdev_supported_types/vfio-pci-746/name", "NVIDIA A2-4Q");
	tree_file(&tree, VF0 "/mdev_supported_types/vfio-pci-746/available_instances", "0");
	tree_file(&tree, VF0 "/mdev_supported_types/vfio-pci-746/create", "");
}

static int run(const struct steps *s)
{
	char bytes[8192];
	int ends[2], rc;
	ssize_t n;

	ok(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	kernel.on = true;
	rc = write_steps(tree.fd, -1, tool, s, ends[1]);
	kernel.on = false;
	n = read(ends[0], bytes, sizeof(bytes) - 1);
	close(ends[0]), close(ends[1]);
	free(out);
	out = xstrndup(bytes, (size_t)MAX(n, 0));
	return rc;
}

static int step(enum step_verb verb, uint64_t at, const char *value)
{
	struct step one = {verb, at, value};

	return run(&(struct steps){&one, 1});
}

#define log_is(want) is_str(buf_text(&kernel.log), want)

/* --- tests --------------------------------------------------------------------------------- */

static void functions_are_made(void)
{
	struct step steps[] = {
		{STEP_AUTOPROBE, GPU, "0"}, {STEP_VFS, GPU, "4"}, {STEP_EXPECT_VFS, GPU, "4"}};

	begin("");
	is_int(run(&(struct steps){steps, 3}), 0);
	log_is("0000:01:00.0/sriov_drivers_autoprobe: 0\n0000:01:00.0/sriov_numvfs: 4\n");
	is_int(step(STEP_VFS, GPU, "4"), 0); /* is done */
	log_is("0000:01:00.0/sriov_drivers_autoprobe: 0\n0000:01:00.0/sriov_numvfs: 4\n");
	is_int(kernel.naps, 0);
	is_int(step(STEP_EXPECT_VFS, GPU, "3"), 1);
	has(out,
	    "0 no 0000:01:00.0: 4 of 3 virtual functions are there after a minute; the kernel");
	is_int(kernel.naps, 1201);
}

static void ten_naps_later(void)
{
	if (kernel.naps == 10) {
		make_vfs(4);
	}
}

static void functions_are_waited_for(void)
{
	begin("");
	kernel.asleep = ten_naps_later;
	is_int(step(STEP_EXPECT_VFS, GPU, "4"), 0);
	is_int(kernel.naps, 10);
	/* a link that leads to no function, or to another card's, counts for nothing */
	tree_link(&tree, CARD "/virtfn2", "../0000:02:00.0");
	tree_link(&tree, CARD "/virtfn3", "../0000:01:07.7");
	is_int(step(STEP_EXPECT_VFS, GPU, "2"), 0);
	tree_add(&tree,
		 "device 0000:04:00.0 id=10de:26b9 class=030200\n  physfn -> ../0000:02:00.0\n");
	tree_link(&tree, CARD "/virtfn2", "../0000:04:00.0");
	is_int(step(STEP_EXPECT_VFS, GPU, "2"), 0);
}

static void functions_with_vgpus_stay(void)
{
	begin_vendor();
	tree_file(&tree, CARD "/sriov_numvfs", "4");
	tree_file(&tree, VF0 "/nvidia/current_vgpu_type", "1148");
	is_int(step(STEP_VFS, GPU, "0"), 1);
	has(out, "0 no 0000:01:00.0: its virtual functions carry vGPUs, which would be lost");
	tool = "/nowhere";
	is_int(step(STEP_TOOL, GPU, TOOL_DISABLE), 1);
	has(out, "0 no 0000:01:00.0: its virtual functions carry vGPUs, which would be lost");
	begin_mdev();
	tree_file(&tree, CARD "/sriov_numvfs", "4");
	tree_dir(&tree, VF0 "/" UUID);
	is_int(step(STEP_VFS, GPU, "0"), 1);
	has(out, "carry vGPUs, which would be lost");
	unlinkat(tree.fd, VF0 "/" UUID, AT_REMOVEDIR);
	is_int(step(STEP_VFS, GPU, "0"), 0);
	log_is("0000:01:00.0/sriov_numvfs: 0\n");
}

static void only_cards_have_functions(void)
{
	static const struct {
		enum step_verb verb;
		const char *value;
	} rows[] = {{STEP_AUTOPROBE, "0"},
		    {STEP_VFS, "4"},
		    {STEP_TOOL, TOOL_ENABLE},
		    {STEP_EXPECT_VFS, "4"}};

	begin_vendor();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(step(rows[i].verb, VF, rows[i].value), 1);
		has(out, "0 no 0000:01:00.4: it is no card of its own, so it has no virtual");
		is_int(step(rows[i].verb, 0x200, rows[i].value), 1);
		has(out, "0 no 0000:02:00.0: it is a NVMe disk of vendor 144d, neither a GPU");
	}
	log_is("");
}

/* A disk's function that claims to be a display, and one without a card. */
static void functions_of_others(void)
{
	static const struct {
		enum step_verb verb;
		const char *value;
	} rows[] = {{STEP_EXPECT_TYPE, "1148"},	 {STEP_TYPE, "1148"},	 {STEP_EXPECT_MADE, "0"},
		    {STEP_MDEV_MAKE, UUID " x"}, {STEP_MDEV_DROP, UUID}, {STEP_EXPECT_MDEV, UUID}};

	begin("device 0000:03:00.0 id=10de:26b9 class=030200 group=9\n"
	      "  physfn -> ../0000:02:00.0\n"
	      "device 0000:04:00.0 id=10de:26b9 class=030200 group=10\n"
	      "  physfn -> ../gone\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (uint64_t at = 0x300; at <= 0x400; at += 0x100) {
			is_int(step(rows[i].verb, at, rows[i].value), 1);
			has(out,
			    ": it is a virtual function of no GPU, and only those of GPUs are");
		}
	}
	is_int(step(STEP_TYPE, GPU, "1148"), 1);
	has(out, "0 no 0000:01:00.0: it is no virtual function, and only these have vGPU types");
	log_is("");
}

static void odd_values(void)
{
	static const struct {
		enum step_verb verb;
		uint64_t at;
		const char *value;
	} rows[] = {
		{STEP_AUTOPROBE, GPU, "2"},
		{STEP_VFS, GPU, "257"},
		{STEP_VFS, GPU, "-1"},
		{STEP_VFS, GPU, "x"},
		{STEP_EXPECT_VFS, GPU, ""},
		{STEP_TOOL, GPU, "sriov-manage -e ALL; reboot"},
		{STEP_EXPECT_TYPE, VF, ""},
		{STEP_EXPECT_TYPE, VF, "../../x"},
		{STEP_TYPE, VF, "1148\n"},
		{STEP_EXPECT_MADE, VF, "nvidia-1"},
		{STEP_MDEV_MAKE, VF, UUID},
		{STEP_MDEV_MAKE, VF, UUID " ../x"},
		{STEP_MDEV_MAKE, VF, "../../../../../../../../../../../../ nvidia-1"},
		{STEP_MDEV_DROP, VF, "6B4C2F16-0000-4000-8000-00000000ABCD"},
		{STEP_MDEV_DROP, VF, UUID "/.."},
		{STEP_EXPECT_MDEV, VF, ""},
	};

	begin_mdev();
	tree_file(&tree, VF0 "/nvidia/current_vgpu_type", "0");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(step(rows[i].verb, rows[i].at, rows[i].value), 1);
		has(out, "\" is no value for that; it is not written");
	}
	log_is("");
}

static void types_are_written(void)
{
	struct step steps[] = {{STEP_EXPECT_TYPE, VF, "nvidia-1148"},
			       {STEP_TYPE, VF, "1148"},
			       {STEP_EXPECT_MADE, VF, "1148"}};

	begin_vendor();
	is_int(run(&(struct steps){steps, 3}), 0);
	log_is("0000:01:00.4/nvidia/current_vgpu_type: 1148\n");
	is_int(step(STEP_TYPE, VF, "1148"), 0);
	log_is("0000:01:00.4/nvidia/current_vgpu_type: 1148\n");
	is_int(step(STEP_TYPE, VF, "1147"), 1);
	has(out, "it carries a vGPU of type 1148 by now; it is looked at again");
	is_int(step(STEP_TYPE, VF, "0"), 0);
	is_int(step(STEP_EXPECT_MADE, VF, "0"), 0);
	is_int(step(STEP_EXPECT_MADE, VF, "1148"), 1);
	has(out, "the driver took vGPU type 1148 and shows 0; ");
	kernel.lies = true;
	is_int(run(&(struct steps){steps, 3}), 1);
	has(out, "0 ok \n1 ok \n2 no 0000:01:00.4: the driver took vGPU type 1148 and shows 0;");
}

static void what_is_not_offered_is_said(void)
{
	begin_vendor();
	is_int(step(STEP_EXPECT_TYPE, VF, "1149"), 1);
	is_str(out,
	       "0 no 0000:01:00.4: vGPU type 1149 cannot be made here now; creatable now: NVIDIA "
	       "L40S-1Q, NVIDIA L40S-2Q; remove other vGPUs of the card, or ask for one of "
	       "these\n");
	is_int(kernel.naps, 0);
	tree_file(&tree, VF0 "/nvidia/creatable_vgpu_types", "ID    : vGPU Name");
	is_int(step(STEP_EXPECT_TYPE, VF, "1148"), 1);
	has(out, "creatable now: nothing; ");
	is_int(kernel.naps, 101);
	begin_mdev();
	is_int(step(STEP_EXPECT_TYPE, VF, "nvidia-746"), 1);
	has(out, "creatable now: NVIDIA A2-2Q; ");
	is_int(step(STEP_EXPECT_TYPE, VF, "nvidia-745"), 0);
	is_int(step(STEP_MDEV_MAKE, VF, UUID " nvidia-746"), 1);
	has(out, "vGPU type nvidia-746 cannot be made here now; it is looked at again");
	log_is("");
}

static void ready_at_last(void)
{
	if (kernel.naps == 20) {
		tree_file(&tree, VF0 "/nvidia/creatable_vgpu_types", "1148  : NVIDIA L40S-2Q");
	}
}

static void a_card_becomes_ready(void)
{
	begin_vendor();
	tree_file(&tree, VF0 "/nvidia/creatable_vgpu_types", "ID    : vGPU Name");
	kernel.asleep = ready_at_last;
	is_int(step(STEP_EXPECT_TYPE, VF, "1148"), 0);
	is_int(kernel.naps, 20);
}

static void mediated_devices_come_and_go(void)
{
	struct step make[] = {{STEP_EXPECT_TYPE, VF, "nvidia-745"},
			      {STEP_MDEV_MAKE, VF, UUID " nvidia-745"},
			      {STEP_EXPECT_MDEV, VF, UUID " nvidia-745"}},
		    drop[] = {{STEP_MDEV_DROP, VF, UUID}, {STEP_EXPECT_MDEV, VF, UUID}};

	begin_mdev();
	is_int(run(&(struct steps){make, 3}), 0);
	log_is("0000:01:00.4/mdev_supported_types/vfio-pci-745/create: " UUID "\n");
	is_int(step(STEP_MDEV_MAKE, VF, UUID " nvidia-745"), 0); /* is done */
	is_int(step(STEP_EXPECT_MDEV, VF, UUID " nvidia-746"), 1);
	has(out, "the mediated device of type nvidia-746 is not there, or of type vfio-pci-745;");
	is_int(step(STEP_MDEV_DROP, VF + 1, UUID), 0); /* of another place: not touched */
	is_int(step(STEP_EXPECT_MDEV, VF, UUID " nvidia-745"), 0);
	is_int(step(STEP_EXPECT_MDEV, VF, UUID), 1);
	has(out, "the mediated device is still there; somebody uses it, end that");
	is_int(run(&(struct steps){drop, 2}), 0);
	is_int(run(&(struct steps){drop, 2}), 0);
	log_is("0000:01:00.4/mdev_supported_types/vfio-pci-745/create: " UUID "\n"
	       "0000:01:00.4/" UUID "/remove: 1\n");
}

static void errors_have_a_remedy(void)
{
	static const struct {
		int error;
		const char *words;
	} rows[] = {
		{EBUSY, "it is busy: somebody uses it"},
		{ENODEV, "it is not there any more"},
		{EINVAL, "the kernel refuses that"},
		{EPERM, "that is forbidden"},
		{EIO, "the device or its driver failed"},
		{ENOSPC, "the kernel has no room for it"},
		{EINTR, "it was interrupted again and again"},
		{EAGAIN, "another removal of it is under way"},
		{EEXIST, "a mediated device of that UUID is there already"},
		{EUSERS, "the driver has no instance of that type left"},
		{ERANGE, "that is more than the device has"},
		{0, "the kernel took 1 of "},
	};
	static const struct {
		enum step_verb verb;
		uint64_t at;
		const char *value, *file;
	} writes[] = {
		{STEP_AUTOPROBE, GPU, "0", "sriov_drivers_autoprobe"},
		{STEP_VFS, GPU, "16", "sriov_numvfs"},
		{STEP_TYPE, VF, "1148", "nvidia/current_vgpu_type"},
		{STEP_MDEV_MAKE, VF, UUID " nvidia-745",
		 "mdev_supported_types/vfio-pci-745/create"},
		{STEP_MDEV_DROP, VF, UUID, UUID "/remove"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(writes); i++) {
		size_t row = i / ARRAY_LEN(writes), w = i % ARRAY_LEN(writes);
		bool one = !rows[row].error && strlen(writes[w].value) == 1;
		auto_free char *text = xprintf("%s: %s", writes[w].file, rows[row].words);

		begin_mdev();
		tree_file(&tree, VF0 "/nvidia/current_vgpu_type", "0");
		if (writes[w].verb == STEP_MDEV_DROP) {
			tree_file(&tree, VF0 "/" UUID "/remove", "");
			one = !rows[row].error; /* writes one byte */
		}
		if (writes[w].verb == STEP_VFS) {
			begin("");
		}
		kernel.error = rows[row].error;
		kernel.take = kernel.error ? -1 : 1;
		is_int(step(writes[w].verb, writes[w].at, writes[w].value), !one);
		if (!one) {
			has(out, text);
		}
		log_is("");
	}
}

static void no_link_is_followed(void)
{
	begin_vendor();
	tree_file(&tree, "victim", "intact");
	unlinkat(tree.fd, VF0 "/nvidia/current_vgpu_type", 0);
	tree_link(&tree, VF0 "/nvidia/current_vgpu_type", "../../../../victim");
	is_int(step(STEP_TYPE, VF, "1148"), 1);
	log_is("");
	begin_mdev();
	tree_file(&tree, "victim/remove", "intact");
	tree_link(&tree, VF0 "/" UUID, "../../../victim");
	is_int(step(STEP_MDEV_DROP, VF, UUID), 1);
	has(out, "a link stands there instead of a file");
	log_is("");
}

/* --- the vendor's tools -------------------------------------------------------------------- */

static struct {
	int fd;
	char *path, asked[128];
	const char *answer; /* NULL: none, the asker is left waiting */
	void (*work)(void);
} shop;

static void *serve(attr_unused void *ctx)
{
	auto_close int fd = accept4(shop.fd, NULL, NULL, SOCK_CLOEXEC);
	ssize_t n, all = 0;

	while ((n = read(fd, shop.asked + all, sizeof(shop.asked) - 1 - (size_t)all)) > 0) {
		all += n;
	}
	shop.asked[all] = '\0';
	if (shop.work) {
		shop.work();
	}
	if (shop.answer) {
		(void)!send(fd, shop.answer, strlen(shop.answer), MSG_NOSIGNAL);
	} else {
		char byte;

		(void)!read(fd, &byte, 1);
		poll(NULL, 0, 300);
	}
	return NULL;
}

static pthread_t open_shop(const char *answer, void (*work)(void))
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	pthread_t t;

	shop.answer = answer;
	shop.work = work;
	free(shop.path);
	shop.path = xprintf("%s/tool.sock", tree.root);
	unlink(shop.path);
	memcpy(at.sun_path, shop.path, strlen(shop.path));
	shop.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok(bind(shop.fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(shop.fd, 1) == 0);
	ok(pthread_create(&t, NULL, serve, NULL) == 0);
	tool = shop.path;
	return t;
}

static void close_shop(pthread_t t)
{
	pthread_join(t, NULL);
	close(shop.fd);
}

static void makes_four(void)
{
	make_vfs(4);
	tree_file(&tree, CARD "/sriov_numvfs", "4");
}

static void the_tool_is_asked(void)
{
	struct step steps[] = {{STEP_TOOL, GPU, TOOL_ENABLE}, {STEP_EXPECT_VFS, GPU, "4"}};
	pthread_t t;

	begin("");
	is_int(step(STEP_TOOL, GPU, TOOL_ENABLE), 1);
	has(out, "only the tools of the vendor's driver can do that, and they are not there; run");
	t = open_shop("0 \n", makes_four);
	is_int(run(&(struct steps){steps, 2}), 0);
	close_shop(t);
	is_str(shop.asked, "sriov-manage -e 0000:01:00.0\n");
	/* it says 0 and has done nothing */
	begin("");
	t = open_shop("0 \n", NULL);
	is_int(run(&(struct steps){steps, 2}), 1);
	close_shop(t);
	is_str(out,
	       "0 no 0000:01:00.0: \"sriov-manage -e 0000:01:00.0\" ended with 0, and sriov_numvfs "
	       "is 0 all the same; its log or the kernel's (dmesg) says why; it is tried again\n");
	tree_file(&tree, CARD "/sriov_numvfs", "4"); /* nor taken them away */
	t = open_shop("0 \n", NULL);
	is_int(step(STEP_TOOL, GPU, TOOL_DISABLE), 1);
	close_shop(t);
	has(out, "ended with 0, and sriov_numvfs is 4 all the same; ");
	tree_file(&tree, CARD "/sriov_numvfs", "0");
	t = open_shop("0 \n", NULL);
	is_int(step(STEP_TOOL, GPU, TOOL_DISABLE), 0);
	close_shop(t);
	t = open_shop("1 Cannot obtain unbindLock for 0000:01:00.0\n", NULL);
	is_int(run(&(struct steps){steps, 2}), 1);
	close_shop(t);
	is_str(out,
	       "0 no 0000:01:00.0: \"sriov-manage -e 0000:01:00.0\" ended with 1: Cannot obtain "
	       "unbindLock for 0000:01:00.0; it is tried again\n");
	is_int(step(STEP_TOOL, GPU, TOOL_ENABLE), 1); /* its socket is left, and nobody there */
	has(out, "tool.sock: Connection refused; the container with the driver's tools must run");
}

static void tools_that_say_nothing(void)
{
	struct tool_answer answer;
	struct err err;
	pthread_t t;

	begin("");
	t = open_shop(NULL, NULL);
	is_int(tool_ask(shop.path, "x", 100, &answer, &err), -1);
	has(err.text, "the vendor's tools have not answered \"x\" in 0 s; it is looked at again");
	close_shop(t);
	t = open_shop("", NULL);
	is_int(tool_ask(shop.path, "x", 1000, &answer, &err), -1);
	has(err.text, "the vendor's tools answered in words that are not known");
	close_shop(t);
	is_int(tool_ask("/nowhere", "x", 1000, &answer, &err), -1);
	has(err.text, "nobody answers at /nowhere: No such file");
}

static void answers(void)
{
	static const struct {
		const char *bytes, *words;
		int status; /* -1: it is none */
	} rows[] = {
		{"0 \n", "", 0},
		{"1 no luck\n", "no luck", 1},
		{"255 x\nmore\n", "x", 255},
		{"256 x\n", NULL, -1},
		{"-1 x\n", NULL, -1},
		{"0\n", NULL, -1},
		{" x\n", NULL, -1},
		{"0 x", NULL, -1},
		{"", NULL, -1},
		{"12345678 x\n", NULL, -1},
		{"1 a\tb\x80\n", "a b ", 1},
		{"x 0\n", NULL, -1},
		{"\n0 x\n", NULL, -1},
	};
	struct tool_answer answer;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int rc = tool_hear(rows[i].bytes, strlen(rows[i].bytes), &answer, NULL);

		is_int(rc, rows[i].status < 0 ? -1 : 0);
		if (rc == 0) {
			is_int(answer.status, rows[i].status);
			is_str(answer.words, rows[i].words);
		}
	}
}

static void nothing_stays(void)
{
	free(take(out));
	free(take(shop.path));
	tree_remove(&tree);
	buf_finish(&kernel.log);
}

TESTS({"virtual functions are made, and seen", functions_are_made},
      {"virtual functions are waited for", functions_are_waited_for},
      {"functions that carry vGPUs stay", functions_with_vgpus_stay},
      {"only cards have virtual functions", only_cards_have_functions},
      {"a virtual function of no GPU is not touched", functions_of_others},
      {"values that are none are not written", odd_values},
      {"vGPU types are written and read back", types_are_written},
      {"what is not offered is said, with what is", what_is_not_offered_is_said},
      {"a card that becomes ready is waited for", a_card_becomes_ready},
      {"mediated devices come and go", mediated_devices_come_and_go},
      {"every error has words and a remedy", errors_have_a_remedy},
      {"no link is followed", no_link_is_followed},
      {"the vendor's tools are asked, and not believed", the_tool_is_asked},
      {"tools that say nothing", tools_that_say_nothing}, {"answers of the tools", answers},
      {"nothing stays", nothing_stays})
