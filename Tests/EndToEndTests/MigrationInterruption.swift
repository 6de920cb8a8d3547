import Foundation
import TestSupport
import Testing

/// What is done to a migration, and when; and where the guest is to be afterwards.
struct MigrationInterruption: Sendable, CustomTestStringConvertible {
    /// When.
    enum Moment: String, CaseIterable, Sendable {
        /// After `prepare`.
        case prepared
        /// While the emulator's own migration is under way, in `migrate run`.
        case migrating
        /// After `out`.
        case out
        /// In `in`, which waits for the emulator.
        case arriving
    }

    /// What.
    enum Victim: String, CaseIterable, Sendable {
        case sourceSupervisor
        case sourceEmulator
        case targetSupervisor
        case targetEmulator
        case sourceDaemon
        case targetDaemon
        /// The command that drives it.
        case driver
        /// The connection between the emulators.
        case connection

        var isDaemon: Bool { self == .sourceDaemon || self == .targetDaemon }
        var isOfSource: Bool { [.sourceSupervisor, .sourceEmulator, .sourceDaemon].contains(self) }
    }

    /// Where the guest is once what can be done was done.
    enum End: Sendable {
        /// It runs at the source, under a version that is so much higher than before.
        case atSource(raised: Int)
        /// It runs at the target.
        case atTarget
        /// Its memory is gone.
        case nowhere
    }

    let moment: Moment
    let victim: Victim

    var testDescription: String { "\(victim.rawValue) \(moment.rawValue)" }

    var end: End {
        switch moment {
        case .prepared: victim.isOfSource ? .nowhere : .atSource(raised: 0)
        case .migrating:
            // Only of a migration that has ended well the leases were given back.
            victim.isOfSource ? .nowhere : .atSource(raised: victim == .targetDaemon ? 1 : 0)
        case .out: victim.isOfSource ? .atTarget : .atSource(raised: 1)
        case .arriving: victim.isOfSource || victim == .driver ? .atTarget : .atSource(raised: 1)
        }
    }

    /// Each victim at each moment at which it is there.
    static let all: [MigrationInterruption] = Moment.allCases.flatMap { moment in
        Victim.allCases.filter { victim in
            switch victim {
            case .driver: moment == .migrating || moment == .arriving
            case .connection: moment == .migrating
            default: true
            }
        }.map { MigrationInterruption(moment: moment, victim: $0) }
    }
}
