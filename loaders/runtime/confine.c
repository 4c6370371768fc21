/*
 * confine.c - no new privileges, no core files, memory that no other process of this user reads, and a seccomp filter. The filter is a list of what is refused
 * (EPERM), because what libpq, libcurl, OpenSSL and the C library need differs from machine to machine: no program is started and no process made, none is
 * looked into or signalled from afar, no port is bound or listened on, nothing is mounted, no kernel interface of administrators is reached. Of sockets only
 * local ones, IPv4, IPv6 and netlink are there (getaddrinfo asks that for the machine's addresses; it does without an answer).
 *
 * What can go wrong: a library calls what is refused. It gets EPERM as from a stricter machine; nothing is killed for it. clone3 is told to be unknown, so that
 * the C library makes threads by clone, whose flags a filter can see.
 */
#include "loaders/runtime/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "err.h"
#include "log.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(ARCH) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static const unsigned refused[] = {
	/* programs and processes; clone is below */
	SYS_execve, SYS_execveat,
#ifdef SYS_fork
	SYS_fork, SYS_vfork,
#endif
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal,
	SYS_kcmp, SYS_setns, SYS_unshare, SYS_personality,
#ifdef SYS_pidfd_getfd
	SYS_pidfd_getfd,
#endif
#ifdef SYS_process_madvise
	SYS_process_madvise,
#endif
	/* servers */
	SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
	/* file systems */
	SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_swapon, SYS_swapoff,
	SYS_quotactl, SYS_acct, SYS_mknodat, SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_fanotify_init,
#ifdef SYS_mknod
	SYS_mknod,
#endif
#ifdef SYS_mount_setattr
	SYS_mount_setattr,
#endif
	/* another user */
	SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_capset,
	/* the machine */
	SYS_reboot, SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_sethostname, SYS_setdomainname, SYS_settimeofday, SYS_clock_settime,
	SYS_adjtimex, SYS_clock_adjtime, SYS_syslog, SYS_vhangup, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
	SYS_io_uring_register, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_lookup_dcookie,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl, SYS_ioperm,
#endif
};

static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define GIVE(what) BPF_STMT(BPF_RET | BPF_K, (what))
/* Go on with the next but `then` statements if the value is k, or with the next but `otherwise`. */
#define IF(k, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (then), (otherwise))

static const uint32_t no = SECCOMP_RET_ERRNO | EPERM, unknown = SECCOMP_RET_ERRNO | ENOSYS;

/* Of an argument of 64 bits the lower half is looked at: both machines are little-endian, and neither clone's flags nor a family has an upper one. */
static int filter(void)
{
	struct sock_filter f[2 * ARRAY_LEN(refused) + 2 * ARRAY_LEN(families) + 32];
	struct sock_fprog prog = {.filter = f};
	size_t n = 0;

	f[n++] = (struct sock_filter)LOAD(arch);
	f[n++] = (struct sock_filter)IF(ARCH, 1, 0);
	f[n++] = (struct sock_filter)GIVE(no);
	f[n++] = (struct sock_filter)LOAD(nr);
#ifdef __x86_64__
	/* x32 has numbers of its own for the same calls */
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
	f[n++] = (struct sock_filter)GIVE(no);
#endif
	for (size_t k = 0; k < ARRAY_LEN(refused); k++) {
		f[n++] = (struct sock_filter)IF(refused[k], 0, 1);
		f[n++] = (struct sock_filter)GIVE(no);
	}
	f[n++] = (struct sock_filter)IF(SYS_clone3, 0, 1);
	f[n++] = (struct sock_filter)GIVE(unknown);
	f[n++] = (struct sock_filter)IF(SYS_clone, 0, 4);
	f[n++] = (struct sock_filter)LOAD(args[0]);
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
	f[n++] = (struct sock_filter)GIVE(no);
	f[n++] = (struct sock_filter)GIVE(SECCOMP_RET_ALLOW);
	/* abort() and raise() */
	f[n++] = (struct sock_filter)IF(SYS_tgkill, 0, 4);
	f[n++] = (struct sock_filter)LOAD(args[0]);
	f[n++] = (struct sock_filter)IF((uint32_t)getpid(), 1, 0);
	f[n++] = (struct sock_filter)GIVE(no);
	f[n++] = (struct sock_filter)GIVE(SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)IF(SYS_socket, 1, 0);
	f[n++] = (struct sock_filter)GIVE(SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)LOAD(args[0]);
	for (size_t k = 0; k < ARRAY_LEN(families); k++) {
		f[n++] = (struct sock_filter)IF(families[k], 0, 1);
		f[n++] = (struct sock_filter)GIVE(SECCOMP_RET_ALLOW);
	}
	f[n++] = (struct sock_filter)GIVE(no);
	prog.len = (unsigned short)n;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

void confine(void)
{
	static const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none))
		log_warn("no limit on core files: %s", errno_text(errno));
	if (prctl(PR_SET_DUMPABLE, 0))
		log_warn("PR_SET_DUMPABLE: %s", errno_text(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || filter())
		log_warn("this kernel confines no program by seccomp: %s", errno_text(errno));
}

#else

void confine(void)
{
}

#endif
