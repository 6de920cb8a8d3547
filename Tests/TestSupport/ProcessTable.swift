import Foundation

/// One process, told from a later one that got the same pid.
public struct ProcessIdentity: Hashable, Sendable, CustomStringConvertible {
    /// Its process id.
    public let pid: pid_t
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot.
    public let startTime: UInt64

    /// Names a process that was seen.
    public init(pid: pid_t, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }

    /// Names the process that has this pid now; nil where there is none.
    public init?(living pid: pid_t) {
        guard let status = ProcessStatus(pid) else { return nil }
        self.init(pid: pid, startTime: status.startTime)
    }

    /// Whether it still runs; a zombie doesn't.
    public var exists: Bool { processExists(pid, startTime: startTime) }

    /// Sends a signal, unless the process has gone.
    public func signal(_ number: Int32) {
        if exists { _ = kill(pid, number) }
    }

    /// Pid, name and state, for messages.
    public var description: String {
        guard let status = ProcessStatus(pid), status.startTime == startTime else { return "\(pid) (gone)" }
        return "\(pid) (\(status.name), \(status.state))"
    }
}

/// What `/proc/PID/stat` says.
public struct ProcessStatus: Sendable {
    /// The name, at most 15 bytes.
    public let name: String
    /// R, S, D, T (stopped), t (traced), Z (zombie), X.
    public let state: Character
    /// The parent's pid.
    public let parent: pid_t
    /// The process group.
    public let group: pid_t
    /// The session.
    public let session: pid_t
    /// The foreground group of its terminal, -1 without a terminal.
    public let foregroundGroup: pid_t
    /// How many threads it has.
    public let threads: Int
    /// Clock ticks after boot.
    public let startTime: UInt64

    /// Reads it; nil where no process has this pid.
    public init?(_ pid: pid_t) {
        guard let text = readProcessFile(pid, "stat").map({ String(decoding: $0, as: UTF8.self) }),
            let opening = text.firstIndex(of: "("), let closing = text.lastIndex(of: ")")
        else { return nil }
        name = String(text[text.index(after: opening)..<closing])
        let fields = text[text.index(after: closing)...].split(separator: " ")
        guard fields.count > 19, let state = fields[0].first, let parent = pid_t(fields[1]),
            let group = pid_t(fields[2]), let session = pid_t(fields[3]), let foreground = pid_t(fields[5]),
            let threads = Int(fields[17]), let startTime = UInt64(fields[19])
        else { return nil }
        self.state = state
        self.parent = parent
        self.group = group
        self.session = session
        foregroundGroup = foreground
        self.threads = threads
        self.startTime = startTime
    }

    /// Whether it still runs code, or could. A main thread that has ended is a zombie while the others go on.
    public var isAlive: Bool { (state != "Z" && state != "X") || threads > 1 }
}

/// The content of `/proc/PID/NAME`; nil where the process is gone or may not be looked at.
public func readProcessFile(_ pid: pid_t, _ name: String) -> Data? {
    FileManager.default.contents(atPath: "/proc/\(pid)/\(name)")
}

/// Whether a process runs; a zombie, which only waits to be reaped, counts as gone.
public func processExists(_ pid: pid_t, startTime: UInt64? = nil) -> Bool {
    guard let status = ProcessStatus(pid), status.isAlive else { return false }
    return startTime == nil || startTime == status.startTime
}

/// Every pid that there is.
public func allProcesses() -> [pid_t] {
    guard let directory = opendir("/proc") else { return [] }
    defer { closedir(directory) }
    var pids: [pid_t] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if let pid = pid_t(name) { pids.append(pid) }
    }
    return pids
}

/// The living children of a process, their children and so on, parents first. One look at a moving target.
public func processes(descendingFrom ancestor: pid_t) -> [ProcessIdentity] {
    var children: [pid_t: [ProcessIdentity]] = [:]
    for pid in allProcesses() {
        guard let status = ProcessStatus(pid) else { continue }
        children[status.parent, default: []].append(ProcessIdentity(pid: pid, startTime: status.startTime))
    }
    var found: [ProcessIdentity] = []
    var next = [ancestor]
    while let parent = next.popLast() {
        for child in children[parent] ?? [] {
            found.append(child)
            next.append(child.pid)
        }
    }
    return found.filter(\.exists)
}

/// The living processes whose environment at their start mentions `text`, this one left out. Finds what daemonized.
public func processes(mentioningInEnvironment text: String) -> [ProcessIdentity] {
    let wanted = Data(text.utf8)
    return allProcesses().compactMap { pid in
        guard pid != getpid(), let environment = readProcessFile(pid, "environ"),
            environment.range(of: wanted) != nil
        else { return nil }
        return ProcessIdentity(living: pid)
    }.filter(\.exists)
}

/// The processes that hold `path` open as a descriptor.
public func processes(holdingOpen path: String) -> [ProcessIdentity] {
    allProcesses().compactMap { pid in
        let folder = "/proc/\(pid)/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let isHeld = names.contains { name in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(name)")) == path
        }
        return isHeld ? ProcessIdentity(living: pid) : nil
    }
}

/// Kills these processes by pid, as far as they are still the same ones, and waits until they are gone.
///
/// - Throws: `TestFailure` naming those that survive five seconds.
public func killAndWait(_ victims: [ProcessIdentity]) throws {
    for victim in victims { victim.signal(SIGKILL) }
    try eventually(within: 5, "the end of \(victims.filter(\.exists))") { victims.allSatisfy { !$0.exists } }
}

/// The processes that ProbeGuest's `hostile` wrote into its PIDFILE.
public func pidsInFile(_ path: String) throws -> [ProcessIdentity] {
    guard let data = FileManager.default.contents(atPath: path) else {
        throw TestFailure("\(path): can't be read; did the hostile guest start?")
    }
    return String(decoding: data, as: UTF8.self).split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ")
        guard words.count == 2, let pid = pid_t(words[0]), let startTime = UInt64(words[1]) else { return nil }
        return ProcessIdentity(pid: pid, startTime: startTime)
    }
}

/// What a process has written to memory of its own, in kB (`Private_Dirty`).
public func privateKilobytes(of pid: pid_t) throws -> Int {
    let rollup = String(decoding: readProcessFile(pid, "smaps_rollup") ?? Data(), as: UTF8.self)
    let line = rollup.split(separator: "\n").first { $0.hasPrefix("Private_Dirty:") } ?? ""
    guard let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
        throw TestFailure("no memory in \(rollup)")
    }
    return kilobytes
}
