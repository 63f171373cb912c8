"""System calls by name, for those that Python has no function for: x86_64 and aarch64."""

import os

from probe import NotHere, reaches_kernel, syscall

NUMBERS = {
    # name: (x86_64, aarch64)
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "capset": (126, 91),
    "clock_adjtime": (305, 266), "clone": (56, 220), "clone3": (435, 435), "fanotify_init": (300, 262),
    "fsopen": (430, 430), "init_module": (175, 105), "ioctl": (16, 29),
    "ioprio_set": (251, 30), "kcmp": (312, 272), "keyctl": (250, 219), "listmount": (458, 458),
    "migrate_pages": (256, 238), "modify_ldt": (154, None), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "name_to_handle_at": (303, 264),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pivot_root": (155, 41), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "reboot": (169, 142), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138), "setdomainname": (171, 162),
    "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170), "socket": (41, 198),
    "statmount": (457, 457), "swapon": (167, 224), "syslog": (103, 116), "tgkill": (234, 131), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "shmget": (29, 194), "shmat": (30, 196),
    "msgget": (68, 186), "msgrcv": (70, 188),
}


def number(name):
    known = dict(zip(("x86_64", "aarch64"), NUMBERS[name])).get(os.uname().machine)
    if known is None:
        raise NotHere(f"no number for {name} on this machine")
    return known


def call(name, *arguments):
    """The call's result, or an OSError."""
    return syscall(number(name), *arguments)


def taken(name, *arguments):
    """The kernel takes the call, whatever it then says of these arguments."""
    reaches_kernel(number(name), *arguments)
