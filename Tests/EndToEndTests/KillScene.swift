import Foundation
import TestSupport

/// A guest that was brought into the phase of a cell and waits there for the blow.
struct KillScene {
    let cell: KillCell
    let rules: KillRules
    let stage: KillStage
    let program: RunningProgram
    /// The keeper; nil before there is one.
    private(set) var keeper: ProcessIdentity?
    /// The guest's processes, the first one first; before its exec what is going to be it.
    private(set) var guest: [ProcessIdentity] = []
    /// What a probe guest writes down.
    let record: HostileRecord
    /// Who has the lease on host 2 while it is waited for.
    private(set) var holder: RunningProgram?
    /// Who waits for it on host 2 while the guest has it.
    private(set) var hunter: LeaseHunter?
    private(set) var gate: ExecGate?

    /// Starts a guest and brings it there. Everything that is started ends with the stage's scratch directory.
    init(_ cell: KillCell, _ hosts: TwoHosts) throws {
        let stage = try KillStage(hosts)
        self.cell = cell
        self.stage = stage
        rules = KillRules(cell: cell)
        record = HostileRecord(hosts.scratch.file("k\(stage.tag).pids"))
        var options = ["--name", "guest", "--log-level", cell.phase == .paused ? "info" : "critical"]
        var modes = "timestamps,fork=1"
        var probe = try Products.probe()
        var emulator: [String]?
        switch cell.phase {
        case .acquiring:
            try hosts.formatLease(stage.disk)
            holder = try hosts.second.hold(try hosts.leaseText(stage.disk), seconds: 300)
            options += ["--wait", "300s"]
        case .spawning:
            let gate = try ExecGate(to: probe, at: hosts.scratch.file("k\(stage.tag).gate"))
            self.gate = gate
            probe = gate.path
        case .stopping:
            options += ["--stop-timeout", "300s"]
            modes += ",ignore-signals"
        case .paused:
            let monitor = hosts.scratch.file("k\(stage.tag).qmp")
            options += ["--qmp", monitor, "--on-lease-loss", "pause"]
            emulator = QEMU.command(disks: [stage.disk], qmpSocket: monitor)
        case .running:
            break
        }
        if emulator == nil { options += ["--disk", stage.disk] }
        let command = emulator ?? [probe, "hostile", modes, record.path, "300"]
        var program = try stage.supervised(options, command)
        program.inheritance.limits = [.init(resource: Int32(RLIMIT_CORE.rawValue), soft: 0, hard: 0)]
        self.program = try hosts.scratch.start(program)
        try reachPhase()
    }

    private mutating func reachPhase() throws {
        switch cell.phase {
        case .acquiring:
            try awaitState("acquiring")
            try eventually(within: 10, every: 20, "\(program) being known to the daemon: \(program.errors)") {
                try stage.hosts.first.daemon.clientStatus().clients[program.pid] != nil
            }
            return
        case .spawning:
            let process = try eventuallyFound(within: 20, "the exec of \(cell): \(program.errors)") {
                processes(descendingFrom: program.pid).first(where: ExecGate.holds)
            }
            guest = [process]
        case .running:
            guest = try awaitGuest()
            try awaitState("running")
        case .stopping:
            guest = try awaitGuest()
            try awaitState("running")
            program.signal(SIGTERM)
            try awaitState("stopping")
        case .paused:
            // Until its daemon is killed; see `awaitPause`.
            try awaitState("running")
        }
        keeper = try eventuallyFound(within: 5, "the keeper of \(program)") { try keeperOf(program.pid) }
        guard cell.phase != .paused else {
            guest = keeper.map { processes(descendingFrom: $0.pid) } ?? []
            return
        }
        // With its host's daemon gone the lease is not to be had for a long time, however often it is asked for.
        hunter = try LeaseHunter(stage, everyMilliseconds: cell.endsDaemon ? 30 : 3)
    }

    /// Whether it is still there: the kernel opens a gate by itself after a while.
    var isInPhase: Bool { cell.phase != .spawning || guest.first.map(ExecGate.holds) == true }

    /// Waits until a guest whose daemon was killed stands still.
    func awaitPause() throws { try awaitState("paused") }

    private func awaitGuest() throws -> [ProcessIdentity] {
        do { return try record.waitUntilReady(within: 20) } catch {
            throw TestFailure("\(cell): \(error); \(program): \(program.errors)")
        }
    }

    func state() throws -> String {
        let status = try stage.leasehold("status", "guest", "--json")
        return status.succeeded ? (try? status.json())?["state"]?.string ?? "unreadable" : "none"
    }

    private func awaitState(_ wanted: String) throws {
        try eventually(within: 20, every: 10, "\(cell): state \(wanted); \(program): \(program.errors)") {
            guard program.isRunning else { throw TestFailure("\(cell): \(program): \(program.errors)") }
            return try state() == wanted
        }
    }

    /// The processes that the blow is for, in the order in which they get it. See `killAtOnce` for why the keeper is first.
    func targets(daemon: ProcessIdentity?) -> [(victim: KillVictim, process: ProcessIdentity)] {
        let all: [(KillVictim, ProcessIdentity?)] = [
            (.keeper, keeper), (.supervisor, program.identity), (.guest, guest.first), (.daemon, daemon),
        ]
        return all.compactMap { victim, process in
            guard cell.victims.contains(victim), let process else { return nil }
            return (victim, process)
        }
    }
}
