import Foundation

/// Whom a signal of the kill matrix goes to.
enum KillVictim: String, CaseIterable, Comparable {
    case supervisor, keeper, guest, daemon

    static func < (one: KillVictim, other: KillVictim) -> Bool {
        let order = allCases
        return (order.firstIndex(of: one) ?? 0) < (order.firstIndex(of: other) ?? 0)
    }
}

/// What is done to the victims.
enum KillBlow: String, CaseIterable {
    case term = "TERM"
    case interrupt = "INT"
    case hangUp = "HUP"
    case quit = "QUIT"
    /// A fault of its own code for supervisor and keeper, which have every signal blocked that is sent.
    case fault = "SEGV"
    case kill = "KILL"
    /// Stopped for a tenth of a second, then killed.
    case stopThenKill = "STOP, KILL"

    /// The signal that ends the victim, or is to.
    var signal: Int32 {
        switch self {
        case .term: SIGTERM
        case .interrupt: SIGINT
        case .hangUp: SIGHUP
        case .quit: SIGQUIT
        case .fault: SIGSEGV
        case .kill, .stopThenKill: SIGKILL
        }
    }

    /// Whether no program of ours can do anything about it.
    var isFatal: Bool { self == .fault || self == .kill || self == .stopThenKill }

    /// Whether sanlock ends by it: with a lockspace joined it ignores those that it handles (`setup_signals` of its
    /// main.c, "ignore shutdown, lockspace exists").
    var endsDaemon: Bool { self == .quit || isFatal }
}

/// Where in its life the guest is held still while that happens.
enum KillPhase: String, CaseIterable {
    /// The lease is held on host 2, and waited for.
    case acquiring
    /// The lease is held, and the guest's exec hangs.
    case spawning
    case running
    /// The leases went with their daemon; the emulator is stopped and waits for them.
    case paused
    /// Asked to stop, the guest ignores it.
    case stopping
}

/// One cell.
struct KillCell: Hashable, CustomStringConvertible {
    let victims: Set<KillVictim>
    let phase: KillPhase
    let blow: KillBlow

    /// Victims, phase and signal, such as `supervisor+keeper running KILL`.
    var description: String { "\(victimNames) \(phase.rawValue) \(blow.rawValue)" }

    var victimNames: String { KillCell.names(of: victims) }

    static func names(of victims: Set<KillVictim>) -> String {
        victims.sorted().map(\.rawValue).joined(separator: "+")
    }

    /// Whether the daemon ends, and the leases with it. In the phase `paused` they are gone already.
    var endsDaemon: Bool { victims.contains(.daemon) && blow.endsDaemon && phase != .paused }

    /// Each victim alone, then each pair.
    static let allVictims: [Set<KillVictim>] = {
        let single = KillVictim.allCases
        let pairs = single.flatMap { one in single.filter { one < $0 }.map { [one, $0] as Set } }
        return single.map { [$0] } + pairs
    }()

    /// Every cell that there is: before the guest is started there is neither keeper nor guest.
    static let all: [KillCell] = KillPhase.allCases.flatMap { phase in
        allVictims.flatMap { victims in
            KillBlow.allCases.map { KillCell(victims: victims, phase: phase, blow: $0) }
        }
    }.filter(\.exists)

    private var exists: Bool { phase != .acquiring || victims.isDisjoint(with: [.keeper, .guest]) }

    /// Some cells that have each victim and each signal in each phase at least once; but of the signals that end a daemon,
    /// and of those in the phase `paused`, only one, since each of them takes a pair of hosts of its own.
    static func sample(seed: UInt64) -> [KillCell] {
        var random = KillRandom(state: seed)
        let fatal = KillBlow.allCases.filter(\.endsDaemon).randomElement(using: &random)
        let paused = KillBlow.allCases.randomElement(using: &random)
        let possible = all.filter { cell in
            cell.phase == .paused ? cell.blow == paused : !cell.endsDaemon || cell.blow == fatal
        }.shuffled(using: &random)
        var missing = Set(possible.flatMap(\.features))
        var chosen: [KillCell] = []
        for cell in possible where !missing.isDisjoint(with: cell.features) {
            missing.subtract(cell.features)
            chosen.append(cell)
        }
        return chosen
    }

    // What a sample has to cover.
    private var features: [String] {
        ["\(victimNames) \(phase.rawValue) \(endsDaemon)", "\(blow.rawValue) \(phase.rawValue) \(endsDaemon)"]
    }
}

/// A generator with a seed (splitmix64).
struct KillRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
