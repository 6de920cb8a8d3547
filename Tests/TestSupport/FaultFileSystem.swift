import Foundation

/// A mount that shows another directory, and has faults when the test says so: for those alone who come through it.
///
/// What waits in it can't be killed, as on real storage. All of it ends with the file system.
public final class FaultFileSystem: Sendable {
    /// What its reads and writes do from now on.
    public enum Mode: Sendable, CustomStringConvertible {
        /// They work; what was waiting is done now.
        case working
        /// Every request waits, those for names too.
        case hanging
        /// Writes wait.
        case hangingWrites
        /// They fail with EIO; what was waiting fails too.
        case failing
        /// They take this long.
        case delaying(milliseconds: Int)

        /// The word for it, as `ProbeGuest faultfs` takes it.
        public var description: String {
            switch self {
            case .working: "ok"
            case .hanging: "hang"
            case .hangingWrites: "hang-writes"
            case .failing: "fail"
            case .delaying(let milliseconds): "delay \(milliseconds)"
            }
        }
    }

    /// Where it is mounted.
    public let mountPoint: String
    private let server: RunningProgram

    /// Mounts it. It is unmounted with the scratch directory. Needs root.
    ///
    /// - Parameters:
    ///   - source: the directory to show.
    ///   - mountPoint: a directory of `scratch`.
    public init(_ source: String, at mountPoint: String, _ scratch: Scratch) throws {
        self.mountPoint = mountPoint
        var program = try Probe.program("faultfs", source, mountPoint)
        program.input = .pipe
        let server = try program.start()
        self.server = server
        scratch.atEnd { [mountPoint] in
            // Whatever waits in it is set free.
            server.end()
            _ = try? Program.run("umount", ["-l", mountPoint])
        }
        try server.waitForOutput("mounted")
    }

    /// Sets what happens from now on; returns when that holds.
    public func set(_ mode: Mode) throws {
        let before = server.output.count
        try server.send("\(mode)\n")
        try eventually(within: 5, every: 0.3, "the file system being set to \(mode)") { server.output.count > before }
    }
}
