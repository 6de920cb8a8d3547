import CPlatform
import Glibc

/// With whose rights a process uses files. Source: `man 5 proc_pid_status`.
public struct ProcessUser: Equatable, Sendable {
    /// The user.
    public let user: UInt32
    /// The group.
    public let group: UInt32
    /// The groups besides.
    public let groups: [UInt32]

    /// States all of it.
    public init(user: UInt32, group: UInt32, groups: [UInt32]) {
        self.user = user
        self.group = group
        self.groups = groups
    }

    /// Those of a process; nil where it is gone.
    public init?(of pid: Int32) {
        guard let bytes = try? Files.read("/proc/\(pid)/status", limit: 65536) else { return nil }
        var lines: [Substring: [UInt32]] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let halves = line.split(separator: ":", maxSplits: 1)
            guard halves.count == 2 else { continue }
            lines[halves[0]] = halves[1].split { $0 == " " || $0 == "\t" }.compactMap { UInt32($0) }
        }
        // Real, effective, saved, and that for files.
        guard let users = lines["Uid"], users.count == 4, let groups = lines["Gid"], groups.count == 4 else {
            return nil
        }
        self.init(user: users[3], group: groups[3], groups: lines["Groups"] ?? [])
    }

    /// Its name, and its number behind it; the number alone where it has none.
    public var name: String {
        guard let entry = getpwuid(user) else { return "uid \(user)" }
        return "\(String(cString: entry.pointee.pw_name)) (uid \(user))"
    }

    /// Makes the calling process theirs, for good. For root, or where nothing changes.
    public func become() throws(SystemError) {
        if geteuid() == user, geteuid() != 0 { return }
        try checked("setresuid") { leasehold_become(user, group, groups, Int32(groups.count)) }
    }

    /// Whether a process with these rights may write to a file.
    public func mayWrite(_ kind: Files.Kind) -> Bool {
        if user == 0 { return true }
        if user == kind.user { return kind.mode & 0o200 != 0 }
        if group == kind.group || groups.contains(kind.group) { return kind.mode & 0o020 != 0 }
        return kind.mode & 0o002 != 0
    }
}

extension ProcessIdentity {
    /// When it was started, in seconds since 1970, by the wall clock of now.
    public var startSeconds: Double {
        var sinceBoot = timespec()
        clock_gettime(CLOCK_BOOTTIME, &sinceBoot)
        let now = Clock.wallTime()
        let boot =
            Double(now.seconds) + Double(now.milliseconds) / 1000 - Double(sinceBoot.tv_sec)
            - Double(sinceBoot.tv_nsec) / 1e9
        return boot + Double(startTime) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }
}
