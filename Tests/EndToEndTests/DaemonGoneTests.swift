import Foundation
import TestSupport
import Testing

/// The sanlock daemon is killed under running guests: whoever asks next may get their leases.
@Suite(.serialized) struct DaemonKilledTests {
    /// One daemon under guests in all conditions, since a pair of hosts takes seconds to join.
    @Test func everyGuestIsDeadWithinASecond() throws {
        try withTwoHosts { hosts in
            let modes = [
                "plain", "timestamps,ignore-signals,setuid,fork-chain", "double-fork,close-fds,setuid,tree=2x2",
                "stop,clear-pdeathsig",
            ]
            let running = try modes.map { modes in
                let stage = try KillStage(hosts)
                return (stage, try stage.start(modes))
            }
            let events = hosts.scratch.file("events")
            var follower = try running[0].0.cli(["events", "guest"])
            follower.output = .file(events)
            let following = try hosts.scratch.start(follower)
            let stopping = try KillStage(hosts)
            let stubborn = try stopping.start("ignore-signals,fork=2", options: ["--stop-timeout", "60s"])
            let stop = try hosts.scratch.start(try stopping.cli(["stop", "guest", "--json"]))
            try eventually(within: 5) {
                try stopping.leasehold("status", "guest", "--json").json()["state"] == "stopping"
            }
            let hanging = try KillStage(hosts)
            let unwatched = try hanging.start("ignore-signals,setuid,fork-chain,timestamps")

            unwatched.supervisor.signal(SIGSTOP)
            hosts.first.daemon.kill()
            let records = (running.map(\.1) + [stubborn, unwatched]).map(\.record)
            try eventually(within: 1, every: 1, "the end of \(records.map { (try? $0.living()) ?? [] })") {
                try records.allSatisfy { try $0.living().isEmpty }
            }
            for (stage, guest) in running + [(stopping, stubborn)] {
                #expect(try guest.program.wait(timeout: 8) == .exit(74))
                try expectLoss(stage)
            }
            #expect(try stop.finish(timeout: 2).json()["leasesFree"] == false)
            unwatched.supervisor.signal(SIGCONT)
            #expect(try unwatched.program.wait(timeout: 8) == .exit(74))
            try expectLoss(hanging)

            try following.wait(timeout: 5)
            let names = try String(contentsOfFile: events, encoding: .utf8).split(separator: "\n").map {
                try JSONValue(parsing: String($0))["event"]?.string ?? ""
            }
            #expect(names.suffix(3) == ["leaseLost", "exited", "released"], "\(names)")
        }
    }

    private func expectLoss(_ stage: KillStage) throws {
        let exit = try stage.exitRecord()
        #expect(exit["reason"] == "leaseLost" && exit["leasesFree"] == false, "\(exit)")
        // Commands that wait for its end, too.
        try eventually(within: 5, "\(stage.strays) ending") { stage.strays.isEmpty }
        #expect(stage.guestDirectories.isEmpty)
        // The lease was not given back: until another host may have it, people have to hear whose it was.
        #expect(access(try stage.holderRecord, F_OK) == 0)
    }

    /// The successor knows nothing of the lease, and would give it to anybody.
    @Test func successorOfTheDaemonChangesNothing() throws {
        try withTwoHosts { hosts in
            let first = try KillStage(hosts)
            let quick = try first.start("timestamps,ignore-signals,fork=2")
            let second = try KillStage(hosts)
            let slow = try second.start("timestamps,setuid,fork=2")
            let emulated = try KillStage(hosts)
            let emulator = try hosts.scratch.start(
                try emulated.supervised(
                    ["--name", "guest"],
                    QEMU.command(disks: [emulated.disk], more: ["-daemonize", "-runas", "nobody"])))
            try #require(try emulator.wait(timeout: 10) == .exit(0))
            let child = try emulated.leasehold("child-pid", "guest").expecting(.exit(0)).output.dropLast()
            let machine = try #require(pid_t(child).flatMap { ProcessIdentity(living: $0) })
            // This one's supervisor comes back to a daemon that it never spoke to.
            slow.supervisor.signal(SIGSTOP)
            hosts.first.daemon.kill()
            var clock = FairClock()
            try hosts.first.daemon.restart()
            func isAnyAlive() throws -> Bool {
                try machine.exists || [quick, slow].contains { try !$0.record.living().isEmpty }
            }
            while try isAnyAlive(), clock.seconds < 1 { clock.pause(milliseconds: 1) }
            #expect(try !isAnyAlive(), "\(clock)")
            slow.supervisor.signal(SIGCONT)
            #expect(try quick.program.wait(timeout: 8) == .exit(74))
            #expect(try slow.program.wait(timeout: 8) == .exit(74))
            try expectLoss(first)
            try expectLoss(second)
            try eventually(within: 8) { emulated.strays.isEmpty }
            try expectLoss(emulated)
            // With the host joined again all is as before.
            try hosts.first.join()
            for stage in [first, second, emulated] { try stage.expectNothingLeft() }
        }
    }
}

/// The sanlock daemon hangs: what doesn't need it goes on.
@Suite(.serialized) struct DaemonHangingTests {
    @Test func lookingAndEndingGuestsStillWork() throws {
        // At an io timeout of 1 a daemon that hangs for eight seconds has lost its lockspace when it goes on.
        try withTwoHosts(ioTimeout: 2) { hosts in
            let stages = try (0..<5).map { _ in try KillStage(hosts) }
            let guests = try stages.map { try $0.start("timestamps,ignore-signals,fork=2,setuid") }
            for stage in stages {
                try eventually(within: 5) {
                    try stage.leasehold("status", "guest", "--json").json()["lockspaces"]?.array?.isEmpty == false
                }
            }
            hosts.first.daemon.stop()

            for command in [["status", "guest"], ["status", "guest", "--json"], ["list"], ["child-pid", "guest"]] {
                try QuickAnswers.expect(stages[0].cli(command), "\(command)")
            }

            let kill = try hosts.scratch.start(try stages[0].cli(["kill", "guest"]))
            let stop = try hosts.scratch.start(try stages[1].cli(["stop", "guest", "--timeout", "100ms", "--json"]))
            for guest in guests[0...1] { try guest.record.waitUntilGone(within: 4) }
            // The supervisor, the keeper: as anywhere else.
            guests[2].supervisor.signal(SIGKILL)
            guests[3].keeper.signal(SIGKILL)
            guests[4].killSupervisorAndKeeper()
            for guest in guests[2...3] { try guest.record.waitUntilGone(within: 1) }
            #expect(try stages[4].leasehold("list").status == .exit(0))
            #expect(try guests[4].record.living().isEmpty)
            // With nobody left who could know, nothing may be claimed.
            #expect(try stages[4].exitRecord()["leasesFree"] == false)

            let killed = try kill.finish(timeout: 12).expecting(.exit(0))
            #expect(killed.output.contains("aren't known to be free"), "\(killed)")
            let stopped = try stop.finish(timeout: 12).expecting(.exit(0)).json()
            #expect(stopped["leasesFree"] == false && stopped["reason"] == "stopped", "\(stopped)")
            for (index, reason) in [(0, "killed"), (1, "stopped"), (3, "keeperDied")] {
                try guests[index].program.wait(timeout: 10)
                let exit = try stages[index].exitRecord()
                #expect(exit["leasesFree"] == false && exit["reason"]?.string == reason, "\(exit)")
            }
            hosts.first.daemon.cont()
            for stage in stages {
                try eventually(within: 3, every: 20) { try !stage.isHeld() }
                try stage.expectNothingLeft()
            }
        }
    }

    @Test func startThatGetsNoAnswerCanBeEnded() throws {
        try withTwoHosts { hosts in
            let stage = try KillStage(hosts)
            hosts.first.daemon.stop()
            let starts = try ["term", "int", "cli"].map {
                try hosts.scratch.start(
                    try stage.supervised(["--name", $0, "--disk", stage.disk], try Probe.command("sleep", "30")))
            }
            for name in ["term", "int", "cli"] {
                try eventually(within: 5) { try stage.leasehold("status", name, "--json").status == .exit(0) }
                #expect(try stage.leasehold("status", name, "--json").json()["state"] == "acquiring")
            }
            starts[0].signal(SIGTERM)
            starts[1].signal(SIGINT)
            let kill = try stage.leasehold("kill", "cli", timeout: 5)
            #expect(kill.status == .exit(0), "\(kill)")
            for (start, status) in zip(starts, [Status.signal(SIGTERM), .signal(SIGINT), .signal(SIGTERM)]) {
                let outcome = try start.finish(timeout: 2)
                #expect(outcome.status == status && outcome.errors.split(separator: "\n").count <= 1, "\(outcome)")
            }
            #expect(stage.strays.isEmpty && stage.guestDirectories.isEmpty)
            hosts.first.daemon.cont()
            try stage.expectNothingLeft()
        }
    }
}
