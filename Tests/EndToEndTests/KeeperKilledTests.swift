import Foundation
import TestSupport
import Testing

/// SIGKILL to the keeper alone, which leaves everything to the supervisor.
@Suite(.serialized) struct KeeperKilledTests {
    @Test(arguments: [
        "plain", "setuid,ignore-signals", "double-fork,setuid", "fork=4,block-signals", "close-fds",
        "close-fds,setuid,tree=2x3",
        "fork-chain", "fork-chain,setuid,close-fds", "stop,new-group,clear-pdeathsig", "subreaper,setsid,threads=3",
    ])
    func guestDiesWithItsKeeper(modes: String) throws {
        let stage = try KillStage.shared()
        let events = stage.hosts.scratch.file("\(stage.tag).events")
        let guest = try stage.start("timestamps,\(modes)")
        var follower = try stage.cli(["events", "guest"])
        follower.output = .file(events)
        let following = try stage.hosts.scratch.start(follower)
        try following.waitUntilItAwaitsAnAnswer()
        let hunter = try LeaseHunter(stage)
        let killed = monotonicNanoseconds()
        guest.keeper.signal(SIGKILL)
        try guest.record.waitUntilGone(within: 1)
        #expect(try guest.program.wait(timeout: 5) == .exit(125))
        #expect(secondsSince(killed) < 5)
        let got = try hunter.gotNanoseconds()
        #expect(try guest.record.lastAliveNanoseconds() < got, "the lease was free before the guest's end")
        let exit = try stage.exitRecord()
        #expect(exit["reason"] == "keeperDied" && exit["leasesFree"] == true, "\(exit)")
        #expect(exit["signal"] == 9, "\(exit)")
        try following.wait(timeout: 5)
        #expect(try String(contentsOfFile: events, encoding: .utf8).contains("keeperDied"))
        #expect(stage.strays.allSatisfy { $0.pid == hunter.program.pid }, "\(stage.strays)")
        #expect(stage.guestDirectories.isEmpty)
        #expect(access(try stage.holderRecord, F_OK) != 0)
        try hunter.end()
        try stage.expectNothingLeft()
    }

    @Test(arguments: ["stop", "kill"]) func keeperThatHangsDoesNotKeepAGuestAlive(command: String) throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("timestamps,ignore-signals,setuid,fork=2")
        guest.keeper.signal(SIGSTOP)
        let hunter = try LeaseHunter(stage)
        let more = command == "stop" ? ["--timeout", "500ms"] : []
        let outcome = try stage.cli([command, "guest", "--json"] + more).run(timeout: 15).expecting(.exit(0))
        #expect(try outcome.json()["leasesFree"] == true)
        #expect(try guest.record.living().isEmpty)
        #expect(try guest.record.lastAliveNanoseconds() < (try hunter.gotNanoseconds()))
        try hunter.end()
        try stage.expectNothingLeft()
    }

    @Test func emulatorDiesWithItsKeeper() throws {
        let stage = try KillStage.shared()
        let program = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest"], QEMU.command(disks: [stage.disk], more: ["-daemonize", "-runas", "nobody"])))
        try #require(try program.wait(timeout: 10) == .exit(0))
        let status = try stage.leasehold("status", "guest", "--json").json()
        let child = try #require(status["childPid"]?.integer.flatMap { ProcessIdentity(living: pid_t($0)) })
        let supervisor = try #require(status["supervisorPid"]?.integer.map { pid_t($0) })
        try #require(try keeperOf(supervisor)).signal(SIGKILL)
        try eventually(within: 1) { !child.exists }
        try eventually(within: 3) { stage.strays.isEmpty }
        #expect(try stage.exitRecord()["reason"] == "keeperDied")
        #expect(try !stage.isHeld())
        try stage.expectNothingLeft()
    }

    /// The caller's own children, which it had before it became the supervisor by exec, are not the guest's.
    @Test func callersOwnChildrenSurviveTheRescue() throws {
        let stage = try KillStage.shared()
        let record = HostileRecord(stage.hosts.scratch.file("\(stage.tag).pids"))
        let supervised = try stage.supervised(
            ["--name", "guest", "--disk", stage.disk], try Probe.command("hostile", "fork=2", record.path, "20"))
        let program = try stage.hosts.scratch.start(
            supervised.prefixed(by: ["sh", "-c", "sleep 21 & echo $! own; exec \"$@\"", "caller"]))
        let text = try program.waitForOutput(" own")
        let own = try #require(pid_t(text.prefix { $0 != " " }).flatMap { ProcessIdentity(living: $0) })
        try record.waitUntilReady()
        try #require(try keeperOf(program.pid)).signal(SIGKILL)
        try record.waitUntilGone(within: 1)
        #expect(try program.wait(timeout: 5) == .exit(125))
        #expect(own.exists, "a background job of the calling shell was killed")
        own.signal(SIGKILL)
        try stage.expectNothingLeft()
    }
}
