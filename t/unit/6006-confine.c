/*
 * 6006-confine.c - what a loader may not do after confine() is refused, and what its libraries need still works. The program confines itself: what comes after
 * cannot be undone.
 */
#include "loaders/runtime/confine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static void *thread(void *arg)
{
	*(bool *)arg = true;
	return NULL;
}

static bool refused(long rc)
{
	return rc == -1 && errno == EPERM;
}

static void refusals(void)
{
	char *argv[] = {(char[]){"true"}, NULL}, *envp[] = {NULL};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	pid_t child;

	ok(s >= 0, "a TCP socket");
	ok(refused(execve("/bin/true", argv, envp)), "no program is started");
	child = fork();
	if (child == 0)
		_exit(0);
	ok(refused(child), "no process is made");
	if (child > 0)
		waitpid(child, NULL, 0);
	ok(refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)), "none is traced");
	ok(refused(kill(getppid(), 0)), "none is signalled");
	ok(refused(syscall(SYS_tgkill, getppid(), getppid(), 0)), "by no way");
	ok(refused(bind(s, (struct sockaddr *)&any, sizeof(any))), "no port is bound");
	ok(refused(listen(s, 1)), "or listened on");
	ok(refused(socket(AF_PACKET, SOCK_RAW, 0)), "no packets");
	ok(refused(mount("none", "/mnt", "tmpfs", 0, NULL)), "nothing is mounted");
	ok(refused(setuid(12345)), "no other user");
	ok(refused(syscall(SYS_unshare, 0)), "no namespaces");
	ok(refused(syscall(SYS_bpf, 0, NULL, 0)) && refused(syscall(SYS_keyctl, 0, 0, 0, 0, 0)) && refused(syscall(SYS_io_uring_setup, 1, NULL)), "nor what only administrators need");
	close(s);
}

static void needs(void)
{
	struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM};
	int a[2] = {-1, -1}, fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	bool ran = false;
	pthread_t t;

	ok(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0, "a file is written");
	if (fd >= 0)
		close(fd);
	ok(pthread_create(&t, NULL, thread, &ran) == 0 && pthread_join(t, NULL) == 0 && ran, "a thread runs");
	ok(getaddrinfo("localhost", "5432", &hints, &list) == 0 && list, "a name is looked up");
	if (list)
		freeaddrinfo(list);
	ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) == 0, "a local socket");
	close(a[0]);
	close(a[1]);
	ok(raise(SIGUSR1) == 0, "it may signal itself (abort does)");
}

int main(void)
{
	struct rlimit core;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip_all("a sanitizer traces its own process");
#endif
	plan_lazy();
	signal(SIGUSR1, SIG_IGN);
	confine();
	if (prctl(PR_GET_SECCOMP) != 2)
		bail("this kernel or this machine has no filter");
	is_int(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), "no new privileges");
	is_int(0, prctl(PR_GET_DUMPABLE), "its memory is its own");
	ok(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0, "no core file");
	refusals();
	needs();
	return done_testing();
}
