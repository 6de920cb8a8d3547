import Foundation
import TestSupport
import Testing

/// Supervisor and keeper are the last to go when memory runs out, and stay in memory; of the guest nothing is changed.
@Suite(.serialized) struct OutOfMemoryTests {
    /// A process may only make itself less likely to be chosen with CAP_SYS_RESOURCE, bit 24 of the capabilities.
    private static let mayLowerScore: Bool = {
        let status = readProcessFile(getpid(), "status").map { String(decoding: $0, as: UTF8.self) } ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        let number = line?.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0, radix: 16) } ?? 0
        return number & 1 << 24 != 0
    }()

    private func score(_ pid: pid_t) throws -> Int {
        let text = readProcessFile(pid, "oom_score_adj").map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard let number = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw TestFailure("\(pid) has no oom_score_adj: \(text)")
        }
        return number
    }

    private func start(
        _ desk: ControlDesk, _ name: String, command: [String] = ["sleep", "60"],
        _ change: (inout Program) -> Void = { _ in }
    ) throws -> ControlledGuest {
        var program = try desk.supervised(name, command: command)
        change(&program)
        let guest = try ControlledGuest(
            name: name, directory: desk.guestDirectory(name), supervisor: desk.scratch.start(program))
        // The last of what they do to themselves comes after the guest's exec; a thread more each is the last but that.
        pause(milliseconds: 1000)
        return guest
    }

    @Test(arguments: [nil, 0, 200, 1000])
    func theGuestHasItsCallersScoreAndTheOthersTheLowestThatIsAllowed(adjustment: Int?) throws {
        try ControlDesk.with { desk in
            let guest = try start(desk, "scored", command: ["sh", "-c", "sleep 60 & wait"]) {
                $0.inheritance.outOfMemoryScoreAdjustment = adjustment
            }
            let callers = try adjustment ?? score(getpid())
            // What somebody without the right has put on top, anybody may take off again.
            let expected = Self.mayLowerScore ? -1000 : min(callers, 0)
            #expect(try score(guest.supervisor.pid) == expected)
            #expect(try score(guest.keeper().pid) == expected)
            #expect(try score(guest.child.pid) == callers)
            for process in processes(descendingFrom: guest.child.pid) { #expect(try score(process.pid) == callers) }
        }
    }

    /// Also where it isn't allowed, as on a host that took CAP_SYS_RESOURCE away: each asks once for itself, goes on without,
    /// and says nothing.
    @Test func supervisorAndKeeperAskForTheLowestScoreAndTheGuestForNone() throws {
        try ControlDesk.with { desk in
            let trace = desk.scratch.file("trace")
            let strace = ["strace", "-f", "-y", "-e", "trace=write,pwrite64,execve", "-s", "64", "-o", trace]
            let outcome = try desk.supervised("asking", command: ["sleep", "0.5"]).prefixed(by: strace).run()
            try outcome.expecting(.exit(0))
            #expect(outcome.errors == "")
            let lines = try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n")
            let asking = lines.filter { $0.contains("/oom_score_adj>, \"-1000") }
            let askers = Set(asking.compactMap { pid_t($0.prefix { $0 != " " }) })
            let guest = lines.last { $0.contains("execve(") && $0.contains("[\"sleep\", \"0.5\"]") }
                .flatMap { pid_t($0.prefix { $0 != " " }) }
            let supervisor = lines.first { $0.contains("execve(") }.flatMap { pid_t($0.prefix { $0 != " " }) }
            #expect(askers.count == 2, "\(asking)")
            #expect(try askers.contains(#require(supervisor)) && !askers.contains(#require(guest)), "\(asking)")
        }
    }

    @Test func theGuestsLimitsAndLocksAreItsCallers() throws {
        try ControlDesk.with { desk in
            func change(_ program: inout Program) {
                program.inheritance.limits = [
                    .init(resource: Int32(__RLIMIT_MEMLOCK.rawValue), soft: 65536, hard: 131072),
                    .init(resource: Int32(RLIMIT_NOFILE.rawValue), soft: 300, hard: 900),
                    .init(resource: Int32(RLIMIT_CORE.rawValue), soft: 0, hard: 4096),
                ]
            }
            for isChanged in [false, true] {
                var direct = Program("sleep", ["60"])
                if isChanged { change(&direct) }
                let plain = try desk.scratch.start(direct)
                let guest = try start(desk, "limited\(isChanged)") { if isChanged { change(&$0) } }
                try eventually(within: 5) { ProcessStatus(plain.pid)?.name == "sleep" }
                #expect(readProcessFile(guest.child.pid, "limits") == readProcessFile(plain.pid, "limits"))
                #expect(try lockedKilobytes(guest.child.pid) == 0)
            }
        }
    }

    /// An owner who isn't root may lock what RLIMIT_MEMLOCK says, or all with CAP_IPC_LOCK; too little is no reason not to
    /// start.
    @Test(arguments: [true, false]) func supervisorAndKeeperAreLockedInMemoryWhereThatIsAllowed(isAllowed: Bool) throws
    {
        try ControlDesk.with { desk in
            try #require(getuid() == 0, "only root can start a guest as somebody else")
            chmod(desk.scratch.path, 0o755)
            chown(desk.runDirectory, 65534, 65534)
            let configuration = try desk.scratch.write("run_dir = \"\(desk.runDirectory)\"\n", to: "own.conf")
            chmod(configuration, 0o644)
            let capability = isAllowed ? ["--inh-caps=+ipc_lock", "--ambient-caps=+ipc_lock"] : []
            let guest = try start(desk, "owned") {
                $0 = $0.prefixed(
                    by: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + capability)
                $0.environment["LEASEHOLD_CONFIG"] = configuration
                $0.inheritance.limits = [
                    .init(resource: Int32(__RLIMIT_MEMLOCK.rawValue), soft: 65536, hard: 65536)
                ]
            }
            for pid in [guest.supervisor.pid, try guest.keeper().pid] {
                #expect((try lockedKilobytes(pid) > 0) == isAllowed)
            }
            #expect(try lockedKilobytes(guest.child.pid) == 0)
            #expect(guest.supervisor.errors == "")
        }
    }

    private func lockedKilobytes(_ pid: pid_t) throws -> Int {
        let status = readProcessFile(pid, "status").map { String(decoding: $0, as: UTF8.self) } ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmLck:") }
        guard let word = line?.split(whereSeparator: \.isWhitespace).dropFirst().first, let number = Int(word) else {
            throw TestFailure("\(pid) has no VmLck")
        }
        return number
    }

    // MARK: Memory that runs out

    private static let noCgroup: Comment = "no memory cgroup can be made here, so that no memory runs out"

    /// The largest one, whoever's score is what.
    @Test(.enabled(if: MemoryCgroup.isAvailable, noCgroup))
    func inACgroupThatIsFullTheGuestIsKilled() throws {
        let stage = try KillStage.shared()
        try inFullGroup(stage, eating: "exec tail /dev/zero") { program, group in
            #expect(try program.wait(timeout: 20) == .signal(SIGKILL))
            #expect(try group.kills() >= 1)
            let exit = try stage.exitRecord()
            #expect(exit["reason"] == "exited" && exit["signal"] == 9 && exit["leasesFree"] == true, "\(exit)")
        }
    }

    /// Many processes, each smaller than supervisor and keeper: only the score keeps these two alive.
    @Test(
        .enabled(if: MemoryCgroup.isAvailable, noCgroup),
        .enabled(if: mayLowerScore, "CAP_SYS_RESOURCE is not to be had here, so the score can't be lowered"))
    func inACgroupThatIsFullOfSmallProcessesTheGuestIsKilled() throws {
        let stage = try KillStage.shared()
        try inFullGroup(stage, eating: Self.manySmall) { program, group in
            try eventually(within: 60, every: 20) { try group.kills() >= 5 || !program.isRunning }
            #expect(try group.kills() >= 1)
            if program.isRunning { _ = try stage.leasehold("kill", "guest") }
            #expect(try program.wait(timeout: 10) == .signal(SIGKILL))
            // Written by the supervisor itself, which has seen the keeper's word on the guest's end.
            let exit = try stage.exitRecord()
            #expect(exit["reason"] == "exited" || exit["reason"] == "killed", "\(exit)")
            #expect(exit["signal"] == 9 && exit["leasesFree"] == true, "\(exit)")
        }
    }

    /// Whoever is chosen, no guest is left without its supervisor, nor with a lease that nobody has.
    @Test(.enabled(if: MemoryCgroup.isAvailable, noCgroup))
    func whoeverIsKilledForWantOfMemoryTheGuestEndsWithItsLease() throws {
        let stage = try KillStage.shared()
        try inFullGroup(stage, eating: Self.manySmall) { program, group in
            try eventually(within: 60, every: 20) { try group.kills() >= 5 || !program.isRunning }
            #expect(try group.kills() >= 1)
            if program.isRunning { _ = try stage.leasehold("kill", "guest") }
            try program.wait(timeout: 10)
            try stage.leasehold("list").expecting(.exit(0))
            try eventually(within: 2, every: 10, "\(stage.strays)") { stage.strays.isEmpty }
        }
    }

    private static let manySmall = "while :; do sleep 100 & done"

    /// A guest that waits until all is set up, and then takes all the memory of the group that all of them are in.
    private func inFullGroup(
        _ stage: KillStage, eating command: String, _ body: (RunningProgram, MemoryCgroup) throws -> Void
    ) throws {
        guard let group = MemoryCgroup(limitBytes: 64 << 20) else { throw TestFailure("no cgroup") }
        defer { group.remove() }
        let mark = stage.hosts.scratch.file("\(stage.tag).go")
        let guest = ["sh", "-c", "while [ ! -e '\(mark)' ]; do sleep 0.02; done; \(command)"]
        let supervised = try stage.supervised(["--name", "guest", "--disk", stage.disk], guest)
        let program = try stage.hosts.scratch.start(group.program(supervised))
        defer { program.end() }
        try eventually(within: 10, "the guest: \(program.errors)") {
            let status = try stage.leasehold("status", "guest", "--json")
            return try status.succeeded && status.json()["state"] == "running"
        }
        pause(milliseconds: 300)
        try Data().write(to: URL(fileURLWithPath: mark))
        try body(program, group)
        try stage.expectNothingLeft()
    }
}
