import Foundation
import TestSupport
import Testing

/// SIGKILL to the supervisor, before the guest runs, as it starts, while it runs and while it stops.
@Suite(.serialized) struct SupervisorKilledTests {
    // MARK: Before the guest runs

    @Test func killWhileWaitingForABusyLeaseLeavesNothing() throws {
        let stage = try KillStage.shared()
        try stage.hosts.formatLease(stage.disk)
        let holder = try stage.hosts.second.hold(try stage.hosts.leaseText(stage.disk))
        let record = HostileRecord(stage.hosts.scratch.file("\(stage.tag).pids"))
        let program = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest", "--disk", stage.disk, "--wait", "60s"],
                try Probe.command("hostile", "plain", record.path)))
        try eventually(within: 5) { try stage.hosts.first.daemon.clientStatus().clients[program.pid] != nil }
        pause(milliseconds: 400)
        program.signal(SIGKILL)
        try eventually(within: 1) { stage.strays.allSatisfy { $0.pid == holder.pid } }
        holder.end()
        try eventually(within: 5) { try !stage.isHeld() }
        #expect(access(record.path, F_OK) != 0, "no guest may have run")
        try stage.expectNothingLeft()
    }

    @Test func killWhileTheDaemonHangsLeavesNoLease() throws {
        try withTwoHosts { hosts in
            let stage = try KillStage(hosts)
            try stage.takeAgain(name: "first")
            let record = HostileRecord(hosts.scratch.file("\(stage.tag).pids"))
            var killed: [ProcessIdentity] = []
            // From the daemon's point of view these are connected, registered, or in the middle of an acquire.
            for delay in [0.0, 1, 2, 4, 8, 200] {
                hosts.first.daemon.cont()
                let program = try hosts.scratch.start(
                    try stage.supervised(
                        ["--name", "guest\(Int(delay))", "--disk", stage.disk],
                        try Probe.command("hostile", "plain", record.path)))
                pause(milliseconds: delay)
                hosts.first.daemon.stop()
                pause(milliseconds: 20)
                killed.append(program.identity)
                program.signal(SIGKILL)
                try eventually(within: 1, every: 5, "the end of what was started: \(stage.strays)") {
                    stage.strays.isEmpty
                }
            }
            hosts.first.daemon.cont()
            try eventually(within: 2, every: 10) { try !stage.isHeld() }
            try stage.expectNothingLeft()
            #expect(killed.allSatisfy { !$0.exists })
        }
    }

    @Test func killAtAnyMomentOfTheStartLeavesNothing() throws {
        let stage = try KillStage.shared()
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        print("killAtAnyMomentOfTheStartLeavesNothing: seed \(seed)")
        var guestsThatRan = 0
        for round in 0..<30 {
            let record = HostileRecord(stage.hosts.scratch.file("\(stage.tag)-\(round).pids"))
            let modes = ["plain", "setuid,double-fork", "close-fds,fork=3", "fork-chain"][round % 4]
            let program = try stage.supervised(
                ["--name", "guest", "--disk", stage.disk], try Probe.command("hostile", modes, record.path, "20")
            ).start()
            pause(milliseconds: Double.random(in: 0...30, using: &random))
            let mayStillStart = program.isRunning
            program.signal(SIGKILL)
            try eventually(within: 1, every: 3, "seed \(seed), round \(round) (\(modes)): the end of \(stage.strays)") {
                stage.strays.isEmpty
            }
            let outcome = try program.finish(timeout: 1)
            #expect(mayStillStart && outcome.status == .signal(SIGKILL), "seed \(seed), round \(round): \(outcome)")
            if record.isReady { guestsThatRan += 1 }
        }
        print("killAtAnyMomentOfTheStartLeavesNothing: \(guestsThatRan) of 30 guests were ready")
        try stage.expectNothingLeft()
    }

    @Test(arguments: [["--detach"], ["-daemonize", "-runas", "nobody"]])
    func killAtAnyMomentWhileAGuestGoesToTheBackgroundLeavesNothing(options: [String]) throws {
        let stage = try KillStage.shared()
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        print("killAtAnyMomentWhileAGuestGoesToTheBackground: seed \(seed)")
        let isOurs = options[0] == "--detach"
        for round in 0..<12 {
            let program = try stage.supervised(
                ["--name", "guest"] + (isOurs ? options : []),
                QEMU.command(disks: [stage.disk], more: isOurs ? [] : options)
            ).start()
            let supervisor = try eventuallyFound(within: 5) { () -> ProcessIdentity? in
                stage.strays.first {
                    guard let status = ProcessStatus($0.pid) else { return false }
                    return status.name.hasPrefix("leasehold-sup") && status.session == $0.pid
                }
            }
            pause(milliseconds: Double.random(in: 0...150, using: &random))
            supervisor.signal(SIGKILL)
            try eventually(within: 1, every: 5, "seed \(seed), round \(round): the end of \(stage.strays)") {
                stage.strays.isEmpty
            }
            let status = try program.wait(timeout: 1)
            #expect(status == .exit(0) || status == .signal(SIGKILL), "seed \(seed), round \(round): \(status)")
        }
        try stage.expectNothingLeft()
    }

    /// The guest's `execve` hangs, as on a network file system that is away: the supervisor dies in the middle of it.
    @Test func killWhileTheGuestIsBeingExecutedLeavesNothing() throws {
        let stage = try KillStage.shared()
        let record = HostileRecord(stage.hosts.scratch.file("\(stage.tag).pids"))
        let executable = stage.hosts.scratch.file("\(stage.tag).guest")
        try FileManager.default.copyItem(atPath: try Products.probe(), toPath: executable)
        let blocker = try stage.hosts.scratch.start(
            Program(Products.python, ["-c", Self.executionBlocker, executable]))
        try blocker.waitForOutput("marked")
        let program = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest", "--disk", stage.disk], [executable, "hostile", "plain", record.path, "20"]))
        try blocker.waitForOutput("executing")
        #expect(try stage.isHeld())
        program.signal(SIGKILL)
        try eventually(within: 1, every: 5, "the end of \(stage.strays)") { stage.strays.isEmpty }
        try stage.takeAgain(name: "guest")
        #expect(access(record.path, F_OK) != 0, "the guest was not to run any more")
        blocker.end()
        try stage.expectNothingLeft()
    }

    /// A listener that the kernel asks before it executes a file (`man 7 fanotify`), and that never answers.
    private static let executionBlocker = """
        import ctypes, os, sys, time
        libc = ctypes.CDLL(None, use_errno=True)
        CLASS_CONTENT, MARK_ADD, OPEN_EXEC_PERM, AT_FDCWD = 0x4, 0x1, 0x40000, -100
        listener = libc.fanotify_init(CLASS_CONTENT, os.O_RDONLY)
        if listener < 0: sys.exit("fanotify_init: " + os.strerror(ctypes.get_errno()))
        mask = ctypes.c_uint64(OPEN_EXEC_PERM)
        if libc.fanotify_mark(listener, MARK_ADD, mask, AT_FDCWD, sys.argv[1].encode()) < 0:
            sys.exit("fanotify_mark: " + os.strerror(ctypes.get_errno()))
        print("marked", flush=True)
        os.read(listener, 4096)
        print("executing", flush=True)
        time.sleep(30)
        """

    // MARK: While it runs and stops

    @Test(arguments: ["ignore-signals", "block-signals,setuid,double-fork", "stop,fork=2"])
    func killWhileAStubbornGuestIsBeingStopped(modes: String) throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("timestamps,\(modes)", options: ["--stop-timeout", "30s"])
        let stopping = try stage.hosts.scratch.start(try stage.cli(["stop", "guest"]))
        try eventually(within: 5) {
            try stage.leasehold("status", "guest", "--json").json()["state"] == "stopping"
        }
        #expect(try guest.record.living().isEmpty == false)
        let hunter = try LeaseHunter(stage)
        guest.supervisor.signal(SIGKILL)
        try guest.record.waitUntilGone(within: 1)
        #expect(try guest.record.lastAliveNanoseconds() < (try hunter.gotNanoseconds()))
        // It is dead, as was asked; how, the record says in the supervisor's place.
        let told = try stopping.finish(timeout: 5).expecting(.exit(0))
        #expect(told.output.contains("signal 9") && told.output.contains("supervisor failed"), "\(told)")
        #expect(try stage.exitRecord()["reason"] == "supervisorFailed")
        try hunter.end()
        try stage.expectNothingLeft()
    }

    @Test(arguments: ["", "-daemonize", "-runas nobody", "-daemonize -runas nobody"])
    func realEmulatorDies(options: String) throws {
        let stage = try KillStage.shared()
        let monitor = stage.hosts.scratch.file("\(stage.tag).qmp")
        let more = options.split(separator: " ").map(String.init)
        let program = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest"], QEMU.command(disks: [stage.disk], qmpSocket: monitor, more: more)))
        _ = try QMP(monitor)
        if options.contains("-daemonize") { try #require(try program.wait(timeout: 10) == .exit(0)) }
        try eventually(within: 5) { try stage.leasehold("status", "guest", "--json").json()["state"] == "running" }
        let status = try stage.leasehold("status", "guest", "--json").json()
        let supervisor = try #require(status["supervisorPid"]?.integer.map { pid_t($0) })
        let child = try #require(status["childPid"]?.integer.flatMap { ProcessIdentity(living: pid_t($0)) })
        #expect(ProcessStatus(child.pid)?.name.hasPrefix("qemu-system") == true)
        let hunter = try LeaseHunter(stage)
        kill(supervisor, SIGKILL)
        var lastSeen = monotonicNanoseconds()
        try eventually(within: 1) {
            let looked = monotonicNanoseconds()
            if child.exists { lastSeen = looked }
            return !child.exists
        }
        #expect(try hunter.gotNanoseconds() > lastSeen)
        try eventually(within: 1) { stage.strays.allSatisfy { $0.pid == hunter.program.pid } }
        try hunter.end()
        try stage.expectNothingLeft()
    }

    /// Its log is on storage that hangs: the thread that writes it can't die, and keeps the process until it can.
    @Test func guestDiesWithASupervisorThatIsBlockedInTheKernel() throws {
        let stage = try KillStage.shared()
        let scratch = try Scratch()
        defer { scratch.remove() }
        let folder = try scratch.directory("m")
        try LeaseStorage(kind: "ext4", sectorBytes: 512).mount(at: folder, scratch)
        let guest = try stage.start("timestamps", options: ["--log-level", "info", "--log-file", "\(folder)/log"])
        try Program.run("fsfreeze", ["-f", folder]).expecting(.exit(0))
        let thaw = { _ = try? Program.run("fsfreeze", ["-u", folder]) }
        defer { thaw() }
        try stage.leasehold("attach-disk", "guest", try stage.hosts.disk()).expecting(.exit(0))
        let pid = guest.supervisor.pid
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
        try eventually(within: 10, "a thread being blocked") {
            threads.contains { thread in
                readProcessFile(pid, "task/\(thread)/status").map { String(decoding: $0, as: UTF8.self) }?
                    .contains("State:\tD") == true
            }
        }
        guest.supervisor.signal(SIGKILL)
        try guest.record.waitUntilGone(within: 1)
        #expect(guest.supervisor.exists, "nothing was blocked")
        thaw()
        try guest.program.wait(timeout: 10)
        try stage.expectNothingLeft()
    }

    /// It is at its work, and knows those that nobody else finds.
    @Test func whoeverFindsTheGuestLeavesTheKeeperItsTime() throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("setuid,close-fds,double-fork")
        guest.keeper.signal(SIGSTOP)
        guest.supervisor.signal(SIGKILL)
        let looking = try stage.hosts.scratch.start(try stage.cli(["list"]))
        pause(milliseconds: 250)
        #expect(guest.keeper.exists && looking.isRunning)
        guest.keeper.signal(SIGCONT)
        try guest.record.waitUntilGone(within: 1)
        try looking.finish(timeout: 10).expecting(.exit(0))
        try stage.expectNothingLeft()
    }

    @Test func killOfTheCallersWholeGroupEndsAll() throws {
        let stage = try KillStage.shared()
        let record = HostileRecord(stage.hosts.scratch.file("\(stage.tag).pids"))
        let supervisor = try stage.supervised(
            ["--name", "guest", "--disk", stage.disk],
            try Probe.command("hostile", "timestamps,double-fork,setuid,fork=3", record.path, "30"))
        var caller = supervisor.prefixed(by: ["sh", "-c", "\"$@\"; exit $?", "caller"])
        caller.inheritance.newProcessGroup = true
        let program = try stage.hosts.scratch.start(caller)
        try record.waitUntilReady()
        let hunter = try LeaseHunter(stage)
        kill(-program.pid, SIGKILL)
        try record.waitUntilGone(within: 1)
        #expect(try record.lastAliveNanoseconds() < (try hunter.gotNanoseconds()))
        try eventually(within: 1) { stage.strays.isEmpty }
        try hunter.end()
        try stage.expectNothingLeft()
    }

    // MARK: Straight after

    /// sanlock gives a dead client's leases back some milliseconds later: a start in between waits and doesn't fail. The
    /// dead supervisor is left unreaped, as busy callers do.
    @Test(arguments: ["guest", "other"], ["disk", "lease", "shared-disk"])
    func startAtOnceAfterAKillSucceeds(name: String, kind: String) throws {
        let stage = try KillStage.shared()
        try stage.hosts.formatLease(stage.disk)
        let lease = kind == "lease" ? ["--lease", try stage.hosts.leaseText(stage.disk)] : ["--disk", stage.disk]
        let first = kind == "shared-disk" ? ["--shared-disk", stage.disk] : lease
        var unreaped: [RunningProgram] = []
        var failures: [String] = []
        for round in 0..<10 {
            let guest = try stage.supervised(
                ["--name", "guest"] + first, try Probe.command("print-and-close", "up", "20")
            ).start()
            unreaped.append(guest)
            do {
                try guest.waitForOutput("up")
            } catch {
                failures.append("round \(round), first: \(error)")
                continue
            }
            if round % 2 == 0 { pause(milliseconds: 30) }
            kill(guest.pid, SIGKILL)
            let next = try stage.supervised(["--name", name] + lease, try Probe.command("exit", "0")).run()
            if next.status != .exit(0) { failures.append("round \(round), next: \(next)") }
        }
        for program in unreaped { try program.wait(timeout: 2) }
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
        try stage.expectNothingLeft()
    }
}

/// SplitMix64: the same numbers from the same seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
