import Foundation
import TestSupport
import Testing

/// What holds after an upgrade as it did before.
@Suite(.serialized) struct UpgradedTests {
    @Test func theFileThatIsInstalledByNowIsBecome() throws {
        let hosts = try TwoHosts.shared
        let installed = hosts.scratch.file("lhs-\(UUID().uuidString.prefix(6))")
        try FileManager.default.copyItem(atPath: try Products.supervisor(), toPath: installed)
        let stage = try UpgradeStage(hosts, supervisor: installed)
        let shown = ProcessStatus(stage.program.pid)?.name
        func inode(_ path: String) -> UInt64 {
            var status = Glibc.stat()
            return stat(path, &status) == 0 ? UInt64(status.st_ino) : 0
        }
        for _ in 0..<2 {
            let new = installed + ".new"
            try FileManager.default.copyItem(atPath: try Products.supervisor(), toPath: new)
            let wanted = inode(new)
            #expect(rename(new, installed) == 0)
            #expect(inode("/proc/\(stage.program.pid)/exe") != wanted)
            try stage.upgrade().expecting(.exit(0))
            #expect(inode("/proc/\(stage.program.pid)/exe") == wanted)
            // The daemon's helper knows a supervisor by it.
            #expect(ProcessStatus(stage.program.pid)?.name == shown)
        }
        // Its own arguments are still there to be seen.
        let arguments = String(decoding: readProcessFile(stage.program.pid, "cmdline") ?? Data(), as: UTF8.self)
            .split(separator: "\0")
        #expect(arguments.prefix(2) == [Substring(installed), "--carry-on"] && arguments[3] == "--name")
        try stage.end()
    }

    @Test func aKilledSupervisorTakesItsGuestAlong() throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("timestamps,setuid,double-fork,ignore-signals")
        try stage.upgradeTwice()
        let hunter = try LeaseHunter(stage)
        guest.supervisor.signal(SIGKILL)
        try guest.record.waitUntilGone(within: 1)
        #expect(try guest.record.lastAliveNanoseconds() < (try hunter.gotNanoseconds()))
        try hunter.end()
        try stage.expectNothingLeft()
    }

    @Test func aSupervisorKilledDuringATrialTakesAllAlong() throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("timestamps,setuid,double-fork,ignore-signals")
        let hang = try stage.hosts.scratch.write("#!/bin/sh\nexec sleep 60\n", to: "\(stage.tag).hang")
        chmod(hang, 0o755)
        _ = try stage.hosts.scratch.start(try stage.cli(["upgrade", "guest", "--program", hang]))
        try eventually(within: 5) {
            processes(descendingFrom: guest.supervisor.pid).contains { ProcessStatus($0.pid)?.name == "sleep" }
        }
        let hunter = try LeaseHunter(stage)
        guest.supervisor.signal(SIGKILL)
        try guest.record.waitUntilGone(within: 1)
        #expect(try guest.record.lastAliveNanoseconds() < (try hunter.gotNanoseconds()))
        try hunter.end()
        try stage.expectNothingLeft()
    }

    @Test func aKilledKeeperTakesTheGuestAlong() throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("timestamps,setuid,double-fork,ignore-signals")
        try stage.upgradeTwice()
        let hunter = try LeaseHunter(stage)
        guest.keeper.signal(SIGKILL)
        try guest.record.waitUntilGone(within: 1)
        #expect(try guest.program.wait(timeout: 5) == .exit(125))
        #expect(try guest.record.lastAliveNanoseconds() < (try hunter.gotNanoseconds()))
        #expect(try stage.exitRecord()["reason"] == "keeperDied")
        try hunter.end()
        try stage.expectNothingLeft()
    }

    @Test func aKilledDaemonEndsTheGuestWithinASecond() throws {
        try withTwoHosts { hosts in
            let stage = try KillStage(hosts)
            let guest = try stage.start("timestamps,setuid,double-fork,ignore-signals")
            try stage.upgradeTwice()
            hosts.first.daemon.kill()
            try guest.record.waitUntilGone(within: 1)
            #expect(try guest.program.wait(timeout: 8) == .exit(74))
            #expect(try stage.exitRecord()["reason"] == "leaseLost")
        }
    }

    /// What the daemon runs is the program that it was told at the start, and it tells a supervisor by what that is called.
    @Test func theDaemonsNoticesReachAProgramOfAnotherName() throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("plain", options: ["--log-level", "info"])
        let other = stage.hosts.scratch.file("lhs-\(stage.tag)")
        try FileManager.default.copyItem(atPath: try Products.supervisor(), toPath: other)
        try stage.leasehold("upgrade", "guest", "--program", other).expecting(.exit(0))
        let notice = Program(try Products.supervisor(), ["--lease-notice", "\(guest.supervisor.pid)"])
        try notice.run().expecting(.exit(0))
        try guest.program.waitForOutput("there was a notice", in: .errors)
        try stage.leasehold("kill", "guest").expecting(.exit(0))
        try stage.expectNothingLeft()
    }

    @Test func aGuestThatStandsWithoutItsLeasesTakesThemUnderTheirVersions() throws {
        let stage = try UpgradeStage(try TwoHosts.shared)
        let version = try stage.version()
        // With its leases first.
        try stage.stage.leasehold("suspend", "guest").expecting(.exit(0))
        let stopped = stage.writes
        try stage.upgrade().expecting(.exit(0))
        #expect(try stage.status()["state"] == "paused")
        #expect(try stage.stage.isHeld())
        try stage.stage.leasehold("suspend", "guest", "--release").expecting(.exit(0))
        #expect(try !stage.stage.isHeld())
        for _ in 0..<3 {
            try stage.upgrade().expecting(.exit(0))
            // For longer than the monitor may be away.
            pause(milliseconds: 1300)
            let status = try stage.status()
            #expect(status["state"] == "paused" && status["leases"]?[0]?["state"] == "released", "\(status)")
            #expect(status["leases"]?[0]?["version"]?.integer == version)
        }
        #expect(stage.writes == stopped && stage.child.exists)
        try stage.stage.leasehold("resume", "guest").expecting(.exit(0))
        try stage.expectWriting()
        #expect(try stage.version() == version + 1)
        try stage.upgrade().expecting(.exit(0))
        try stage.expectWriting()
        try stage.end()
    }

    /// A monitor that somebody else took in the moment of the upgrade leaves nobody who could tell.
    @Test func aGuestWithoutLeasesWhoseMonitorIsGoneIsKilled() throws {
        let stage = try UpgradeStage(try TwoHosts.shared)
        try stage.stage.leasehold("suspend", "guest", "--release").expecting(.exit(0))
        let monitor = stage.stage.hosts.scratch.file("q\(stage.stage.tag)")
        #expect(rename(monitor, monitor + ".away") == 0)
        try stage.upgrade().expecting(.exit(0))
        try eventually(within: 3) { !stage.child.exists }
        #expect(try stage.program.wait(timeout: 8) == .exit(74))
        try stage.stage.expectNothingLeft()
    }

    @Test func leasesThatCameMeanwhileAreGivenBackAtTheEnd() throws {
        let hosts = try TwoHosts.shared
        let stage = try UpgradeStage(hosts)
        let more = try hosts.disk()
        try stage.stage.leasehold("attach-disk", "guest", more).expecting(.exit(0))
        try stage.upgrade().expecting(.exit(0))
        #expect(try hosts.holders(of: more).count == 1)
        // Its device is taken, too.
        let link = hosts.scratch.file("\(stage.stage.tag).link")
        #expect(symlink(more, link) == 0)
        let other = try stage.stage.supervised(
            ["--name", "other", "--disk", link], try Probe.command("exit", "0")
        ).run()
        expectOneLine(other, code: 75, naming: ["same device"])
        try stage.stage.leasehold("detach-disk", "guest", more).expecting(.exit(0))
        #expect(try hosts.holders(of: more).isEmpty)
        try stage.stage.leasehold("attach-disk", "guest", more).expecting(.exit(0))
        try stage.upgrade().expecting(.exit(0))
        try stage.end()
        #expect(try hosts.holders(of: more).isEmpty)
    }

    @Test func theEndIsRecordedAndToldAsEver() throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("plain", options: ["--log-level", "notice"])
        try stage.upgradeTwice()
        try eventually(within: 5, "\(guest.program.errors)") {
            guest.program.errors.components(separatedBy: "goes on as").count == 3
        }
        let told = try stage.leasehold("stop", "guest", "--json").expecting(.exit(0)).json()
        #expect(told["reason"] == "stopped" && told["leasesFree"] == true, "\(told)")
        #expect(try guest.program.wait(timeout: 5) == .signal(SIGTERM))
        #expect(try stage.exitRecord()["reason"] == "stopped")
        try stage.expectNothingLeft()
    }

    /// What a process of the shell's would do with the terminal, its streams and its signals.
    @Test(arguments: ["nop", "sanlock"]) func theCallerSeesTheGuestsEnd(driver: String) throws {
        let stage = try KillStage.shared()
        let guest = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest", "--driver", driver], ["sh", "-c", "read line; echo got $line; exit 42"]
            ).with { $0.input = .pipe })
        try eventually(within: 5) { try stage.leasehold("status", "guest").succeeded }
        try eventually(within: 5) { try stage.leasehold("upgrade", "guest").succeeded }
        try guest.send("hello\n")
        let outcome = try guest.finish(timeout: 5)
        #expect(outcome.status == .exit(42) && outcome.output == "got hello\n", "\(outcome)")
        #expect(try stage.exitRecord()["code"] == 42)
        try stage.expectNothingLeft()
    }
}

extension KillStage {
    fileprivate func upgradeTwice() throws {
        try eventually(within: 5) { try leasehold("status", "guest", "--json").json()["state"] == "running" }
        for _ in 0..<2 { try leasehold("upgrade", "guest").expecting(.exit(0)) }
    }
}

extension Program {
    fileprivate func with(_ change: (inout Program) -> Void) -> Program {
        var program = self
        change(&program)
        return program
    }
}
