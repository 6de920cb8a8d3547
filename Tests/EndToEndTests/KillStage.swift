import Foundation
import TestSupport

/// One disk on the shared pair of hosts and a run directory of its own, so that no other test's `list` or start ends
/// what this one leaves behind on purpose.
struct KillStage {
    let hosts: TwoHosts
    let disk: String
    let runDirectory: String
    let tag: String

    init(_ hosts: TwoHosts) throws {
        self.hosts = hosts
        tag = String(UUID().uuidString.prefix(8))
        disk = try hosts.disk("k\(tag)")
        runDirectory = try hosts.scratch.directory("k\(tag)")
    }

    static func shared() throws -> KillStage { try KillStage(try TwoHosts.shared) }

    func supervised(_ options: [String], _ command: [String]) throws -> Program {
        var program = try hosts.first.supervised(options, command)
        program.environment["LEASEHOLD_RUN_DIR"] = runDirectory
        return program
    }

    func leasehold(_ arguments: String..., timeout: Double = 30) throws -> Outcome {
        try cli(arguments).run(timeout: timeout)
    }

    func cli(_ arguments: [String]) throws -> Program {
        var program = hosts.first.program(try Products.cli(), arguments)
        program.environment["LEASEHOLD_RUN_DIR"] = runDirectory
        return program
    }

    /// A probe guest under the disk's lease, with all its processes started.
    func start(_ modes: String, name: String = "guest", options: [String] = []) throws -> KillGuest {
        try despiteSlowStorage { try startOnce(modes, name: name, options: options) }
    }

    private func startOnce(_ modes: String, name: String, options: [String]) throws -> KillGuest {
        let record = HostileRecord(hosts.scratch.file("k\(tag)-\(UUID().uuidString.prefix(6)).pids"))
        let command = try Probe.command("hostile", modes, record.path, "40")
        let program = try hosts.scratch.start(
            try supervised(["--name", name, "--disk", disk, "--log-level", "error"] + options, command))
        do {
            try record.waitUntilReady()
        } catch {
            throw TestFailure("\(error); the supervisor: \(program) \(program.errors)")
        }
        return try KillGuest(name: name, program: program, supervisorPid: program.pid, record: record)
    }

    /// Every process that was started on this stage and lives: supervisors, keepers, guests.
    var strays: [ProcessIdentity] { processes(mentioningInEnvironment: runDirectory) }

    var holderRecord: String { get throws { "\(hosts.leaseDirectory)/.leasehold/\(try leaseName(disk)).json" } }

    func exitRecord(_ name: String = "guest") throws -> JSONValue {
        guard let data = FileManager.default.contents(atPath: "\(runDirectory)/exits/\(name).json") else {
            throw TestFailure("there is no exit record of \(name)")
        }
        return try JSONValue(parsing: data)
    }

    var guestDirectories: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(runDirectory)/guests")) ?? []).sorted()
    }

    func isHeld() throws -> Bool { try !hosts.holders(of: disk).isEmpty }

    /// The whole start again on the same host: the lease has to be had, without `--wait`.
    @discardableResult
    func takeAgain(name: String = "next", options: [String] = []) throws -> Outcome {
        let program = try supervised(["--name", name, "--disk", disk] + options, try Probe.command("exit", "0"))
        return try despiteSlowStorage { try program.run().expecting(.exit(0)) }
    }

    /// What must hold when every guest of the stage has ended: `list` finds nothing alive, and nothing is left of it.
    func expectNothingLeft() throws {
        try takeAgain(name: "last")
        try leasehold("list").expecting(.exit(0))
        try eventually(within: 5, every: 10, "no process being left: \(strays)") { strays.isEmpty }
        guard guestDirectories.isEmpty else { throw TestFailure("run directory entries are left: \(guestDirectories)") }
        guard access(try holderRecord, F_OK) != 0 else { throw TestFailure("a holder record is left") }
        // A supervisor doesn't wait for more than five seconds until the daemon has written that a lease is free.
        _ = try? eventually(within: 10, every: 50) {
            try !hosts.holders(of: disk).contains { $0.resource.remarks.contains("REM") }
        }
        guard try !isHeld() else { throw TestFailure("the lease is held by \(try hosts.holders(of: disk))") }
    }
}

/// A guest that a test is going to take its supervisor from.
struct KillGuest {
    let name: String
    /// What the caller started: the supervisor itself, unless it detached.
    let program: RunningProgram
    let supervisor: ProcessIdentity
    let keeper: ProcessIdentity
    let record: HostileRecord

    init(name: String, program: RunningProgram, supervisorPid: pid_t, record: HostileRecord) throws {
        self.name = name
        self.program = program
        self.record = record
        guard let supervisor = ProcessIdentity(living: supervisorPid) else {
            throw TestFailure("supervisor \(supervisorPid) is gone: \(program.errors)")
        }
        self.supervisor = supervisor
        keeper = try eventuallyFound(within: 5, "the keeper of \(supervisorPid)") {
            try keeperOf(supervisorPid)
        }
    }

    /// SIGKILL to both in what is one instant for them: neither runs between the first signal and the last.
    ///
    /// The keeper goes first: the end of a supervisor of its session would orphan the process group of a stopped keeper,
    /// and the kernel continues such a group.
    func killSupervisorAndKeeper() { killAtOnce(supervisor: supervisor, keeper: keeper) }
}

/// See `KillGuest.killSupervisorAndKeeper`.
func killAtOnce(supervisor: ProcessIdentity, keeper: ProcessIdentity) {
    for process in [supervisor, keeper] { process.signal(SIGSTOP) }
    for process in [keeper, supervisor] { process.signal(SIGKILL) }
}

/// The keeper of a supervisor, which is a child of it that has been given a name.
func keeperOf(_ supervisor: pid_t) throws -> ProcessIdentity? {
    processes(descendingFrom: supervisor).first {
        guard let status = ProcessStatus($0.pid) else { return false }
        return status.parent == supervisor && status.name == "leasehold-keepr"
    }
}

/// A client on another host that asks for a lease again and again, each millisecond, until it gets it.
///
/// It tells when, so that a lease that was free too early shows. libsanlock is asked directly: a supervisor's own start
/// would blur the moment by its duration.
struct LeaseHunter {
    let program: RunningProgram
    private let stage: KillStage

    private static let script = """
        import ctypes, sys, time
        sanlock = ctypes.CDLL("libsanlock_client.so.1")
        socket = sanlock.sanlock_register()
        if socket < 0: sys.exit("can't register: %d" % socket)
        resource = ctypes.c_void_p()
        if sanlock.sanlock_str_to_res(sys.argv[1].encode(), ctypes.byref(resource)) < 0: sys.exit("no resource")
        list = (ctypes.c_void_p * 1)(resource)
        first = True
        while True:
            code = sanlock.sanlock_acquire(socket, -1, 0x8, 1, list, None)
            if code == 0: break
            if first: print("hunting %d" % code, flush=True)
            first = False
            time.sleep(float(sys.argv[2]) / 1000)
        print("got %d" % time.monotonic_ns(), flush=True)
        time.sleep(300)
        """

    /// Starts to hunt on host 2; returns once the lease was refused for the first time.
    init(_ stage: KillStage, everyMilliseconds: Int = 1) throws {
        self.stage = stage
        program = try stage.hosts.scratch.start(
            stage.hosts.second.program(
                Products.python, ["-c", Self.script, try stage.hosts.leaseText(stage.disk), "\(everyMilliseconds)"]))
        try program.waitForOutput("hunting", timeout: 60)
    }

    var hasLease: Bool { program.output.contains("got ") }

    /// Waits for the moment at which the lease was had, in CLOCK_MONOTONIC.
    func gotNanoseconds(within seconds: Double = 5) throws -> UInt64 {
        try program.waitForOutput("got ", timeout: seconds)
        let text = try eventuallyFound(within: 1) { () -> String? in
            let lines = program.output.split(separator: "\n", omittingEmptySubsequences: false)
            return lines.dropLast().last { $0.hasPrefix("got ") }.map { String($0.dropFirst(4)) }
        }
        guard let number = UInt64(text) else { throw TestFailure("not a time: \(text)") }
        return number
    }

    /// Gives the lease back: it is free on return.
    func end() throws {
        program.end()
        try eventually(within: 5, "the hunter's lease being free") { try !stage.isHeld() }
    }
}
