import Foundation
import TestSupport

/// A control group with a limit of memory, of either version; processes of a test go into it.
struct MemoryCgroup {
    let path: String
    private let isUnified: Bool

    /// Makes one below the test's own group, or below the root; nil where neither is allowed here.
    init?(limitBytes: Int) {
        for (parent, isUnified) in MemoryCgroup.parents() {
            let path = "\(parent)/leasehold-\(UUID().uuidString.prefix(8))"
            guard mkdir(path, 0o755) == 0 else { continue }
            let limit = isUnified ? "memory.max" : "memory.limit_in_bytes"
            if MemoryCgroup.write("\(limitBytes)", to: "\(path)/\(limit)") {
                // What is paged out doesn't count, and a test isn't to wait for it; not every kernel has these.
                for file in ["memory.swap.max", "memory.swappiness"] {
                    _ = MemoryCgroup.write("0", to: "\(path)/\(file)")
                }
                self.path = path
                self.isUnified = isUnified
                return
            }
            rmdir(path)
        }
        return nil
    }

    /// Whether one can be had here.
    static let isAvailable: Bool = {
        guard let group = MemoryCgroup(limitBytes: 1 << 30) else { return false }
        group.remove()
        return true
    }()

    private static func parents() -> [(path: String, isUnified: Bool)] {
        let own = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
        func ownPath(_ mark: String) -> String {
            own.split(separator: "\n").first { $0.contains(mark) }?.split(separator: ":", maxSplits: 2).last
                .map(String.init) ?? "/"
        }
        return [
            ("/sys/fs/cgroup/memory\(ownPath(":memory:"))", false), ("/sys/fs/cgroup/memory", false),
            ("/sys/fs/cgroup\(ownPath("0::"))", true), ("/sys/fs/cgroup", true),
        ]
    }

    private static func write(_ text: String, to path: String) -> Bool {
        guard let file = FileHandle(forWritingAtPath: path) else { return false }
        defer { try? file.close() }
        return (try? file.write(contentsOf: Data(text.utf8))) != nil
    }

    /// This program, started in the group.
    func program(_ program: Program) -> Program {
        program.prefixed(by: ["sh", "-c", "echo $$ >'\(path)/cgroup.procs' && exec \"$@\"", "sh"])
    }

    /// How often something in it was killed for want of memory.
    func kills() throws -> Int {
        let text = try String(
            contentsOfFile: "\(path)/\(isUnified ? "memory.events" : "memory.oom_control")", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("oom_kill ") }
        guard let word = line?.split(separator: " ").last, let count = Int(word) else {
            throw TestFailure("no count of kills in \(text)")
        }
        return count
    }

    /// Removes it, once what was in it has ended.
    func remove() {
        _ = try? eventually(within: 5, every: 10) { rmdir(path) == 0 || errno == ENOENT }
    }
}
