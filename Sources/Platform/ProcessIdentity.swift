import CPlatform
import Glibc

/// A process that can't be mistaken for a later one under the same pid.
public struct ProcessIdentity: Equatable, Sendable {
    /// Its pid.
    public let pid: Int32
    /// When it started, in clock ticks since boot (`man 5 proc`, field 22 of stat).
    public let startTime: UInt64

    /// Names a process by what was written down of it.
    public init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }

    /// The process that has this pid now; nil where there is none.
    public init?(runningAs pid: Int32) {
        let startTime = leasehold_start_time(pid)
        guard startTime > 0 else { return nil }
        self.init(pid: pid, startTime: startTime)
    }

    /// Whether it is still there, a zombie included.
    public var exists: Bool {
        leasehold_start_time(pid) == startTime
    }

    /// Whether it is still there and has not ended: a zombie is not alive.
    public var isAlive: Bool {
        leasehold_is_alive(pid) && exists
    }

    /// Whether a process is gone, or about to be: dying, killed, or a zombie. What it holds is about to be let go.
    public static func isEnding(_ pid: Int32) -> Bool {
        leasehold_is_ending(pid)
    }

    /// Whether it is a guest's keeper, by what it calls itself.
    public var isKeeper: Bool {
        let name = (try? Files.read("/proc/\(pid)/comm", limit: 64)) ?? []
        return String(decoding: name, as: UTF8.self) == "leasehold-keepr\n"
    }

    /// Sends it a signal, if it is still that process.
    ///
    /// - Returns: whether the signal was sent.
    @discardableResult
    public func signal(_ number: Int32) -> Bool {
        leasehold_signal_process(pid, startTime, number) == 0
    }

    /// The processes but this one that hold a socket open, as far as this process may look.
    public static func holding(socket inode: UInt64) -> [ProcessIdentity] {
        let wanted = "socket:[\(inode)]"
        return ((try? Files.names(in: "/proc")) ?? []).compactMap { name in
            guard let pid = Int32(name), pid != getpid(), let numbers = try? Files.names(in: "/proc/\(pid)/fd") else {
                return nil
            }
            let holds = numbers.contains { Files.linkTarget("/proc/\(pid)/fd/\($0)") == wanted }
            return holds ? ProcessIdentity(runningAs: pid) : nil
        }
    }

    /// The processes below this one, nearest first. A look that may be out of date as it is returned.
    public func descendants() -> [ProcessIdentity] {
        var parents: [Int32: [Int32]] = [:]
        for name in (try? Files.names(in: "/proc")) ?? [] {
            guard let child = Int32(name), let text = try? Files.read("/proc/\(child)/stat", limit: 4096),
                let end = text.lastIndex(of: UInt8(ascii: ")")), text.count > end + 4
            else { continue }
            let fields = text[(end + 2)...].split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard fields.count > 1, let parent = Int32(String(decoding: fields[1], as: UTF8.self)) else { continue }
            parents[parent, default: []].append(child)
        }
        var found: [ProcessIdentity] = []
        var next = [pid]
        while let parent = next.popLast() {
            for child in parents.removeValue(forKey: parent) ?? [] {
                guard let identity = ProcessIdentity(runningAs: child) else { continue }
                found.append(identity)
                next.append(child)
            }
        }
        return found
    }
}
