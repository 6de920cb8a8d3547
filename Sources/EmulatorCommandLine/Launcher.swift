/// A program that starts the command in its arguments, and how its own arguments end.
struct Launcher {
    /// Short options that take an argument, and those that take none.
    let shortWithArgument: String
    let shortAlone: String
    /// Long options that take an argument, and those that take none or only one after `=`.
    let longWithArgument: String
    let longAlone: String
    /// Words between the options and the command.
    var leadingWords = 0
    /// Words like `NAME=VALUE` before the command set variables.
    var takesVariables = false
    /// Options that change the working directory, that split text into words, that leave the working directory or the
    /// whole view of the disks unknown.
    var folderOptions: [String] = []
    var splitOptions: [String] = []
    var homeOptions: [String] = []
    var rootOptions: [String] = []

    static func named(_ name: String) -> Launcher? {
        all[name]
    }

    private static let all: [String: Launcher] = [
        "env": Launcher(
            shortWithArgument: "uCSa", shortAlone: "i0v", longWithArgument: "unset chdir split-string argv0",
            longAlone:
                "ignore-environment null debug block-signal default-signal ignore-signal list-signal-handling help version",
            takesVariables: true, folderOptions: ["C", "chdir"], splitOptions: ["S", "split-string"]),
        "nice": Launcher(
            shortWithArgument: "n", shortAlone: "", longWithArgument: "adjustment", longAlone: "help version"),
        "ionice": Launcher(
            shortWithArgument: "cnpPu", shortAlone: "thV", longWithArgument: "class classdata pid pgid uid",
            longAlone: "ignore help version"),
        "chrt": Launcher(
            shortWithArgument: "TPDp", shortAlone: "bfiordeRamvhV",
            longWithArgument: "sched-runtime sched-period sched-deadline pid",
            longAlone: "batch fifo idle other rr deadline ext reset-on-fork all-tasks max verbose help version",
            leadingWords: 1),
        "taskset": Launcher(
            shortWithArgument: "", shortAlone: "apchV", longWithArgument: "",
            longAlone: "all-tasks pid cpu-list help version",
            leadingWords: 1),
        "numactl": Launcher(
            shortWithArgument: "ipPCNmwcSfoIM", shortAlone: "labsHtudDTVhr",
            longWithArgument: """
                interleave preferred preferred-many physcpubind cpunodebind membind weighted-interleave cpubind shm file offset \
                length shmid shmmode
                """,
            longAlone: "localalloc all balancing show hardware strict huge dump dump-nodes touch verify version help"),
        "setpriv": Launcher(
            shortWithArgument: "", shortAlone: "dhV",
            longWithArgument: """
                ambient-caps inh-caps bounding-set ruid euid rgid egid reuid regid groups securebits pdeathsig ptracer \
                selinux-label apparmor-profile landlock-access landlock-rule seccomp-filter
                """,
            longAlone: "dump nnp no-new-privs clear-groups keep-groups init-groups reset-env list-caps help version"),
        "sudo": Launcher(
            shortWithArgument: "aCcDghpRrtTUu", shortAlone: "AbBEeHiKklNnPSsVv",
            longWithArgument: """
                auth-type close-from login-class chdir group host prompt chroot role type command-timeout other-user user
                """,
            longAlone: """
                askpass background bell preserve-env edit set-home help login remove-timestamp reset-timestamp list no-update \
                non-interactive preserve-groups stdin shell version validate
                """, takesVariables: true, folderOptions: ["D", "chdir"], homeOptions: ["i", "login"],
            rootOptions: ["R", "chroot"]
        ),
        "systemd-inhibit": Launcher(
            shortWithArgument: "", shortAlone: "h", longWithArgument: "what who why mode",
            longAlone: "list no-pager no-legend no-ask-password help version"),
    ]
}

extension Launcher {
    private static func words(_ text: String) -> [String] {
        text.utf8.split(separator: 0x20).map { String($0) ?? "" }
    }

    enum LongOption: Equatable {
        case alone(String)
        case takesArgument(String)
    }

    /// The option of this name or, as GNU programs allow, of this beginning; nil where there is none or more than one.
    func longOption(_ name: String) -> LongOption? {
        let alone = Launcher.words(longAlone)
        let withArgument = Launcher.words(longWithArgument)
        if alone.contains(name) { return .alone(name) }
        if withArgument.contains(name) { return .takesArgument(name) }
        let candidates =
            alone.filter { $0.begins(with: name) }.map(LongOption.alone)
            + withArgument.filter { $0.begins(with: name) }.map(LongOption.takesArgument)
        return candidates.count == 1 ? candidates.first : nil
    }
}
