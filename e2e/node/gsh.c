/*
 * gsh: runs commands in the guest from the host, over virtio serial ports, several at a time.
 *
 *   gsh serve ROOT PORT...      in the guest, as process 1: PORT is a device, ROOT the commands'
 * root folder gsh run DIR COMMAND...      on the host: DIR has QEMU's sockets sh0 to sh3. Same
 * working folder, stdout, stderr and exit code as if the command ran here; waits for a guest that
 * is still booting gsh monitor DIR COMMAND...  on the host: each COMMAND is a line for QEMU's human
 * monitor, through DIR/qmp
 *
 * A request is struct request and LENGTH bytes: working folder and arguments, each with its NUL.
 * The guest answers with the request's tag; what comes before it is the rest of an answer that
 * nobody waited for. The client sends the time (the guest's clock is only as good as its RTC, and
 * certificates have dates). The guest sends frames, of which the one with the exit code is the
 * last. When a client goes away its command's process group is killed, so a command that is to stay
 * starts a background process and ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORTS = 4, REQUEST_MAX = 1 << 16, CHUNK = 1 << 14, CLOCK_OFF_NS = 200000000 };
enum { FRAME_OUT = 1, FRAME_ERR = 2, FRAME_EXIT = 3 };

struct request {
	char magic[8];
	char tag[16];
	uint32_t length;
};

struct frame {
	uint32_t type;
	uint32_t length; /* of the data; FRAME_EXIT: the exit code itself */
};

static const char MAGIC[8] = "gsh 1\n";

static void nap(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "gsh: %s: %s\n", what, strerror(errno));
	exit(255);
}

/* ---- in the guest
 * -------------------------------------------------------------------------------------------- */

/* A port that no client holds is POLLHUP. Returns false then, true when EVENTS came. */
static bool port_wait(int port, short events)
{
	struct pollfd p = {.fd = port, .events = events};

	if (poll(&p, 1, -1) < 0 && errno != EINTR) {
		die("poll");
	}
	return !(p.revents & POLLHUP);
}

static bool port_read(int port, void *data, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = read(port, (char *)data + done, length - done);

		if (n > 0) {
			done += (size_t)n;
		} else if (!port_wait(port, POLLIN)) {
			return false;
		}
	}
	return true;
}

static bool port_write(int port, const void *data, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = write(port, (const char *)data + done, length - done);

		if (n > 0) {
			done += (size_t)n;
		} else if (!port_wait(port, POLLOUT)) {
			return false;
		}
	}
	return true;
}

static bool send_frame(int port, uint32_t type, const void *data, uint32_t length)
{
	struct frame f = {type, length};

	return port_write(port, &f, sizeof f) && (!data || port_write(port, data, length));
}

/* Passes on what a pipe has; false when the client is gone. At its end *PIPE becomes -1. */
static bool forward(int port, int *pipe, uint32_t type)
{
	char data[CHUNK];
	ssize_t n = read(*pipe, data, sizeof data);

	if (n > 0) {
		return send_frame(port, type, data, (uint32_t)n);
	}
	if (n == 0 || errno != EAGAIN) {
		close(*pipe);
		*pipe = -1;
	}
	return true;
}

static bool drain(int port, int *pipe, uint32_t type)
{
	struct pollfd p = {.fd = *pipe, .events = POLLIN};

	while (*pipe >= 0 && poll(&p, 1, 0) > 0) {
		if (!forward(port, pipe, type)) {
			return false;
		}
	}
	return true;
}

static void set_clock(uint64_t host)
{
	int64_t off = (int64_t)(now_ns() - host);

	if (off > CLOCK_OFF_NS || off < -CLOCK_OFF_NS) {
		struct timespec t = {(time_t)(host / 1000000000), (long)(host % 1000000000)};

		clock_settime(CLOCK_REALTIME, &t);
	}
}

static void command(const char *root, char *text, size_t length, int out, int err)
{
	char *argv[1024];
	char *folder = text;
	size_t n = 0;

	for (char *p = text + strlen(text) + 1; p < text + length && n < 1023; p += strlen(p) + 1) {
		argv[n++] = p;
	}
	argv[n] = NULL;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	dup2(open("/dev/null", O_RDWR), 0);
	dup2(out, 1);
	dup2(err, 2);
	if (chroot(root) || (chdir(folder) && chdir("/"))) {
		die(root);
	}
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	execvp(argv[0], argv);
	fprintf(stderr, "gsh: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Until the command ends, or nobody listens any more. Returns its wait status, or -1. */
static int attend(int port, pid_t pid, int out, int err)
{
	int pidfd = pidfd_open(pid, 0);
	int status = -1;
	bool here = true;

	for (bool running = true; here && running;) {
		struct pollfd p[] = {
			{port, POLLIN, 0}, {pidfd, POLLIN, 0}, {out, POLLIN, 0}, {err, POLLIN, 0}};

		if (poll(p, 4, -1) < 0) {
			continue;
		}
		/* Bytes while a command runs: another client has come, so this one's is gone. */
		here = !p[0].revents;
		running = !p[1].revents;
		here = here && (!p[2].revents || forward(port, &out, FRAME_OUT));
		here = here && (!p[3].revents || forward(port, &err, FRAME_ERR));
	}
	if (!here) {
		kill(-pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	/* What it still had to say; a background process that goes on with these pipes is not
	 * waited for. */
	here = here && drain(port, &out, FRAME_OUT) && drain(port, &err, FRAME_ERR);
	close(pidfd);
	close(out);
	close(err);
	return here ? status : -1;
}

static void serve_one(const char *root, int port)
{
	static char text[REQUEST_MAX + 1];
	struct request r;
	uint64_t time;
	int out[2];
	int err[2];

	if (!port_read(port, &r, sizeof r) || memcmp(r.magic, MAGIC, sizeof r.magic) ||
	    r.length > REQUEST_MAX || !port_read(port, text, r.length) ||
	    !port_write(port, r.tag, sizeof r.tag) || !port_read(port, &time, sizeof time)) {
		return;
	}
	text[r.length] = 0;
	set_clock(time);
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		die("pipe");
	}
	/* What the guest remembers of the host's files may be out of date. */
	int drop = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (drop >= 0) {
		(void)!write(drop, "2", 1);
		close(drop);
	}
	pid_t pid = fork();

	if (pid == 0) {
		command(root, text, r.length, out[1], err[1]);
	}
	/* Here as well as there: who kills the group may be earlier than the child. */
	setpgid(pid, pid);
	close(out[1]);
	close(err[1]);
	int status = attend(port, pid, out[0], err[0]);

	if (status >= 0) {
		int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

		send_frame(port, FRAME_EXIT, NULL, (uint32_t)code);
	}
}

static _Noreturn void serve(const char *root, char **ports)
{
	/* A port signals when a client comes or goes; poll does not wait for that. */
	const struct timespec second = {1, 0};
	sigset_t sigio;

	sigemptyset(&sigio);
	sigaddset(&sigio, SIGIO);
	sigprocmask(SIG_BLOCK, &sigio, NULL);
	for (; *ports; ports++) {
		if (fork()) {
			continue;
		}
		int port = open(*ports, O_RDWR | O_NONBLOCK | O_CLOEXEC);

		if (port < 0 || fcntl(port, F_SETOWN, getpid()) ||
		    fcntl(port, F_SETFL, O_NONBLOCK | O_ASYNC)) {
			die(*ports);
		}
		for (;;) {
			if (port_wait(port, POLLIN)) {
				serve_one(root, port);
			} else {
				sigtimedwait(&sigio, NULL, &second);
			}
		}
	}
	/* Process 1: only reaps. */
	for (;;) {
		if (wait(NULL) < 0) {
			nap(1000);
		}
	}
}

/* ---- on the host
 * --------------------------------------------------------------------------------------------- */

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) {
		die(path);
	}
	return fd;
}

/* The first port that no other client holds; the lock goes with the process. */
static int dial_free_port(void)
{
	for (int i = 0;; i = (i + 1) % PORTS) {
		char name[16];

		snprintf(name, sizeof name, "sh%d.lock", i);
		int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		if (lock < 0) {
			die(name);
		}
		if (!flock(lock, LOCK_EX | LOCK_NB)) {
			name[3] = 0;
			return dial(name);
		}
		close(lock);
		nap(i == PORTS - 1 ? 20 : 0);
	}
}

static void read_all(int fd, void *data, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = read(fd, (char *)data + done, length - done);

		if (n <= 0) {
			fprintf(stderr, "gsh: the guest is gone\n");
			exit(255);
		}
		done += (size_t)n;
	}
}

static void write_all(int fd, const void *data, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = write(fd, (const char *)data + done, length - done);

		if (n < 0) {
			die("write");
		}
		done += (size_t)n;
	}
}

static void skip_to(int fd, const char *tag, size_t length)
{
	char window[16] = {0};

	while (memcmp(window, tag, length) != 0) {
		memmove(window, window + 1, length - 1);
		read_all(fd, window + length - 1, 1);
	}
}

static int relay(int fd)
{
	char data[CHUNK];

	for (;;) {
		struct frame f;

		read_all(fd, &f, sizeof f);
		if (f.type == FRAME_EXIT) {
			return (int)f.length;
		}
		if (f.length > sizeof data) {
			errno = EPROTO;
			die("frame");
		}
		read_all(fd, data, f.length);
		write_all(f.type == FRAME_OUT ? 1 : 2, data, f.length);
	}
}

static int run(const char *dir, char **argv)
{
	static char text[REQUEST_MAX];
	struct request r;
	size_t length;

	if (!getcwd(text, sizeof text)) {
		die("getcwd");
	}
	length = strlen(text) + 1;
	for (; *argv; argv++) {
		size_t n = strlen(*argv) + 1;

		if (n > sizeof text - length) {
			errno = E2BIG;
			die("command");
		}
		memcpy(text + length, *argv, n);
		length += n;
	}
	if (chdir(dir)) {
		die(dir);
	}
	int fd = dial_free_port();

	memcpy(r.magic, MAGIC, sizeof r.magic);
	r.length = (uint32_t)length;
	if (getrandom(r.tag, sizeof r.tag, 0) != sizeof r.tag) {
		die("getrandom");
	}
	write_all(fd, &r, sizeof r);
	write_all(fd, text, length);
	skip_to(fd, r.tag, sizeof r.tag);
	uint64_t time = now_ns();

	write_all(fd, &time, sizeof time);
	return relay(fd);
}

/* The next line that answers a command; events are passed over. */
static void qmp_answer(FILE *in, char **line, size_t *size)
{
	do {
		if (getline(line, size, in) < 0) {
			fprintf(stderr, "gsh: QEMU is gone\n");
			exit(255);
		}
	} while (strncmp(*line, "{\"return\"", 9) != 0 && strncmp(*line, "{\"error\"", 8) != 0);
}

/* {"return": "text\r\n"}: the text. Human monitor commands answer with their error messages in it,
 * too. */
static bool print_answer(const char *line)
{
	const char *p = strstr(line, "\": \"");

	if (!p) {
		fputs(line, stderr);
		return false;
	}
	bool silent = p[4] == '"';

	for (p += 4; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			if (*p == 'n') {
				putchar('\n');
			} else if (*p != 'r') {
				putchar(*p);
			}
		} else {
			putchar(*p);
		}
	}
	return silent || !strstr(line, "Error");
}

static int monitor(const char *dir, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	bool good = true;

	if (chdir(dir)) {
		die(dir);
	}
	FILE *q = fdopen(dial("qmp"), "r+");

	if (!q) {
		die("qmp");
	}
	setvbuf(q, NULL, _IOLBF, 0);
	fputs("{\"execute\": \"qmp_capabilities\"}\n", q);
	qmp_answer(q, &line, &size);
	for (; *argv; argv++) {
		fputs("{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"",
		      q);
		for (const char *p = *argv; *p; p++) {
			if (*p == '"' || *p == '\\') {
				putc('\\', q);
			}
			putc(*p, q);
		}
		fputs("\"}}\n", q);
		qmp_answer(q, &line, &size);
		good = print_answer(line) && good;
	}
	free(line);
	fclose(q);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "serve")) {
		serve(argv[2], argv + 3);
	}
	if (argc > 3 && !strcmp(argv[1], "run")) {
		return run(argv[2], argv + 3);
	}
	if (argc > 3 && !strcmp(argv[1], "monitor")) {
		return monitor(argv[2], argv + 3);
	}
	fprintf(stderr,
		"usage: gsh serve ROOT PORT... | gsh run DIR COMMAND... | gsh monitor DIR COMMAND...\n");
	return 2;
}
