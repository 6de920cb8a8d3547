import Leases

/// How the supervisor ends, so that its caller sees what the guest's own caller would have seen.
public enum ExitStatus: Equatable, Sendable {
    /// With a code.
    case code(Int32)
    /// Of the signal that the guest died of.
    case signal(Int32)

    /// The supervisor's own codes, of sysexits' numbers where there is one. A guest may use the same: the exit record
    /// tells them apart.
    public enum Code {
        /// The command line, or a disk option in it, can't be read.
        public static let usage: Int32 = 64
        /// There is no such guest or disk.
        public static let notFound: Int32 = 66
        /// sanlock or the lockspace is not available.
        public static let unavailable: Int32 = 69
        /// A lease file can't be made.
        public static let cantCreate: Int32 = 73
        /// The supervisor ended the guest because the lease was lost.
        public static let leaseLost: Int32 = 74
        /// A lease is busy, or the guest's name is in use.
        public static let busy: Int32 = 75
        /// Not permitted.
        public static let notPermitted: Int32 = 77
        /// The configuration is wrong.
        public static let configuration: Int32 = 78
        /// The supervisor's own failure.
        public static let failure: Int32 = 125
        /// The guest's program is there and can't be executed.
        public static let notExecutable: Int32 = 126
        /// The guest's program is not there.
        public static let programNotFound: Int32 = 127
    }

    /// The status that an outcome leads to.
    public init(_ outcome: Outcome) {
        switch outcome {
        case .guestEnded(_, .leaseLost): self = .code(Code.leaseLost)
        case .guestEnded(_, .keeperDied), .guestEnded(_, .supervisorFailed): self = .code(Code.failure)
        case .guestEnded(.exited(let status), _): self = .code(status)
        case .guestEnded(.died(let signal), _): self = .signal(signal)
        case .notStarted(.interrupted(let signal)): self = .signal(signal ?? 15)
        case .notStarted(let failure): self = .code(ExitStatus.code(of: failure))
        }
    }

    private static func code(of failure: StartFailure) -> Int32 {
        switch failure {
        case .leases(let failure): code(of: failure.outcome)
        case .leaseManagerSilent: Code.unavailable
        // ENOENT, ENOTDIR and ELOOP leave no program to speak of; the other errnos say what is wrong with it.
        case .program("exec", 2), .program("exec", 20), .program("exec", 40): Code.programNotFound
        case .program("exec", _): Code.notExecutable
        case .program: Code.failure
        case .interrupted, .keeperDied: Code.failure
        }
    }

    /// The code that a failed lease operation leads to.
    public static func code(of outcome: LeaseOutcome) -> Int32 {
        switch outcome {
        case .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .beingReleased, .orphaned, .sameDevice,
            .wrongVersion:
            Code.busy
        case .lockspaceGone, .hostIdInUse, .daemonUnreachable, .storageFailed: Code.unavailable
        case .leaseFileMissing, .leaseFileUnusable, .leaseFileNotMade: Code.cantCreate
        case .notPermitted: Code.notPermitted
        case .hostIdTooLarge, .configurationWrong: Code.configuration
        case .other: Code.failure
        }
    }
}
