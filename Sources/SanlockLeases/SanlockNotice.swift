/// What a sanlock daemon runs to tell a process that it is time to look at its leases (`sanlock_killpath`).
///
/// It runs as the daemon's helper does, with the daemon's environment. A lockspace that has failed appends the process's pid.
public struct SanlockNotice: Equatable, Sendable {
    /// The program's path.
    public let program: String
    /// Its arguments, parted by spaces.
    public let arguments: String

    /// Nil where the daemon couldn't run it: path and arguments are at most 127 bytes of printable ASCII, and the path has
    /// no space.
    public init?(program: String, arguments: String) {
        let isPlain = (program + arguments).utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f } && !program.contains(" ")
        guard isPlain, program.hasPrefix("/"), program.utf8.count <= SanlockCalls.longestNotice,
            arguments.utf8.count <= SanlockCalls.longestNotice
        else { return nil }
        self.program = program
        self.arguments = arguments
    }
}
