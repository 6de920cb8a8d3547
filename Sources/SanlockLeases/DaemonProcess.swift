import Glibc
import Platform

/// The process of the sanlock daemon, for what no call of libsanlock's tells.
struct DaemonProcess {
    /// Its pid.
    let pid: Int32
    /// The user that it opens lease files as.
    let user: UInt32
    /// The group.
    let group: UInt32

    /// The daemon at the other end of a connection; nil where the kernel doesn't say.
    init?(connectedTo socket: Int32) {
        guard let peer = UnixSocket.peer(of: socket) else { return nil }
        pid = peer.process
        user = peer.user
        group = peer.group
    }

    /// The daemon that libsanlock would find, asked by connecting; nil where none listens.
    init?() {
        guard let socket = try? DaemonProcess.connect() else { return nil }
        self.init(connectedTo: socket.number)
    }

    /// Where its socket is.
    static var runDirectory: String { getenv("SANLOCK_RUN_DIR").map { String(cString: $0) } ?? "/run/sanlock" }

    /// Connects where libsanlock would.
    static func connect() throws(SystemError) -> Descriptor {
        try UnixSocket.connect(to: "\(runDirectory)/sanlock.sock")
    }

    /// The name that it gives this host in a lockspace, where it was told one; otherwise it makes one up at each start.
    var hostName: String? {
        value(of: "-e") ?? setting("our_host_name")
    }

    /// Whether it is set to use one.
    var isToUseWatchdog: Bool { (value(of: "-w") ?? setting("use_watchdog") ?? "1") != "0" }

    /// Whether a watchdog resets the host when it can't be told to let go of its leases any more.
    var usesWatchdog: Bool {
        isToUseWatchdog && ((try? Files.kind(of: "/run/wdmd/wdmd.sock")) ?? nil) != nil
    }

    /// How long it leaves a process that it told of a failed lockspace before it kills it, in seconds.
    var graceSeconds: Double {
        (value(of: "-g") ?? setting("kill_grace_seconds")).flatMap(Double.init) ?? 40
    }

    /// An option that it was started with: `-e NAME` or `-eNAME`; the last one counts.
    func value(of option: String) -> String? {
        let text = (try? Files.read("/proc/\(pid)/cmdline", limit: 65536)) ?? []
        let arguments = text.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        var value: String?
        for (index, argument) in arguments.enumerated() where argument.hasPrefix(option) {
            value = argument == option ? arguments[(index + 1)...].first : String(argument.dropFirst(option.count))
        }
        return value
    }

    /// A line of its settings. Source: `man 8 sanlock`, /etc/sanlock/sanlock.conf.
    func setting(_ key: String) -> String? {
        let text = (try? Files.read("/etc/sanlock/sanlock.conf", limit: 65536)) ?? []
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let halves = line.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " && $0 != "\t" } }
            if halves.count == 2, halves[0] == key { return halves[1] }
        }
        return nil
    }
}
