import Foundation
import TestSupport
import Testing

/// `leasehold request`: a guest of one host is asked by another to give its disk up.
@Suite(.serialized) struct RequestTests {
    // MARK: Done

    @Test func theHolderIsStoppedAndNoLaterOneIs() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            let guest = try stage.there.start(["--disk", disk], named: "web1")
            try guest.waitUntilRecorded(disk)
            let events = try stage.events(of: guest)
            let asked = try stage.here.leasehold("request", disk, "--json").expecting(.exit(0)).json()
            #expect(asked["state"] == "asked" && asked["mode"] == "graceful" && asked["guest"] == "web1", "\(asked)")
            #expect(asked["hostId"] == 2 && asked["hostName"] == "host2" && asked["version"] == 2, "\(asked)")
            // It is told within the time that was said, and is a while at it.
            let limit = asked["toldWithin"]?.number ?? 0
            #expect((1...10).contains(limit))
            #expect(try guest.running.wait(timeout: limit + 1) == .signal(SIGTERM))
            _ = try events.finish(timeout: 5)
            let detail = try #require(try stage.requests(in: events).first)
            #expect(detail["disk"] == .string(disk) && detail["lver"] == "2" && detail["mode"] == "graceful")
            #expect(detail["lease"] == .string("\(TwoHosts.lockspace):\(try leaseName(disk))"))
            #expect(detail["policy"] == "poweroff")
            let free = try stage.here.leasehold("request", disk).expecting(.exit(0))
            #expect(free.output == "\(disk) is free: nobody holds its lease\n")

            // What was asked is still written beside the lease; the next holder has it under the version asked for.
            let next = try stage.there.start(["--disk", disk], named: "web2")
            let later = try stage.events(of: next)
            #expect(try next.leases().first?.version == 2)
            try stage.look(at: disk, of: next)
            #expect(next.running.isRunning)
            #expect(try stage.requests(in: later).isEmpty)
            try next.stop()
        }
    }

    @Test func waitsUntilTheLeaseIsFree() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            let guest = try stage.there.start(["--disk", disk])
            try guest.waitUntilRecorded(disk)
            let waited = try stage.here.leasehold("request", disk, "--wait", "20s", "--json").expecting(.exit(0))
            #expect(try waited.json()["state"] == "givenUp")
            #expect(try stage.hosts.holders(of: disk).isEmpty)
            #expect(try guest.running.wait(timeout: 2) == .signal(SIGTERM))
        }
    }

    @Test func aTerminalShowsTheWaitAndTheTimeEndsIt() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            let guest = try stage.there.start(
                ["--disk", disk, "--stop-timeout", "60s"],
                try Probe.command("hostile", "ignore-signals", stage.scratch.file("deaf"), "60"), named: "deaf")
            try guest.waitUntilRecorded(disk)
            let terminal = try Terminal(
                Program(try Products.cli(), ["request", disk, "--wait", "3s"], environment: stage.here.environment))
            try terminal.expect("waiting for guest deaf on host host2 to give up \(disk): at most", timeout: 3)
            try terminal.expect("was asked for \(disk) and still has it after 3 s", timeout: 6)
            #expect(try terminal.program.wait(timeout: 2) == .exit(75))
            #expect(try stage.there.leasehold("kill", "deaf").succeeded)
        }
    }

    /// The guest doesn't hear SIGTERM; the daemon kills its supervisor.
    @Test func aForcedOneKillsTheGuestBeforeItsLeaseIsFree() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            let record = HostileRecord(stage.scratch.file("pids"))
            let guest = try stage.there.start(
                ["--disk", disk, "--stop-timeout", "600s"],
                try Probe.command("hostile", "ignore-signals,fork", record.path, "60"), named: "tough")
            try record.waitUntilReady()
            try guest.waitUntilRecorded(disk)
            let family = guest.running.descendants
            #expect(family.count > 1)
            let asked = try stage.here.leasehold("request", disk, "--force").expecting(.exit(0))
            #expect(asked.output.contains("the guest dies with it"), "\(asked.output)")
            // Whenever the lease is free, nothing of the guest lives.
            try eventually(within: 10, every: 1, "the lease being free") {
                guard try stage.hosts.holders(of: disk).isEmpty else { return false }
                #expect(family.allSatisfy { !$0.exists })
                return true
            }
            #expect(try guest.running.wait(timeout: 1) == .signal(SIGKILL))
        }
    }

    @Test func aLeaseThatIsSpelledOutAndAStrangerAreAskedToo() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            try stage.hosts.formatLease(disk)
            let stranger = try stage.hosts.second.hold(try stage.hosts.leaseText(disk))
            let asked = try stage.here.leasehold("request", try stage.hosts.leaseText(disk)).expecting(.exit(0))
            #expect(asked.output.contains("on host host2 (host id 2)") && asked.output.contains("SIGTERM"))
            #expect(try stranger.wait(timeout: 10) == .signal(SIGTERM))
        }
    }

    // MARK: Not real

    @Test func aNoticeThatNobodyAskedForChangesNothing() throws {
        try withStage { stage in
            let (disk, second) = (try stage.hosts.disk(), try stage.hosts.disk())
            let guest = try stage.there.start(["--disk", disk, "--disk", second, "--log-level", "info"])
            let events = try stage.events(of: guest)
            for _ in 1...50 { try stage.notice(to: guest) }
            for _ in 1...200 { guest.running.signal(RequestStage.noticeSignal) }
            // Someone writes what was asked before the guest had its lease.
            try stage.write(version: 1, mode: 2, beside: disk)
            try stage.notice(to: guest)
            // And in a way that nobody knows.
            try stage.write(version: 9, mode: 7, beside: second)
            try stage.notice(to: guest)
            pause(milliseconds: 1500)
            #expect(guest.running.isRunning)
            #expect(try stage.requests(in: events).isEmpty)
            #expect(try guest.leases().count == 2)
            #expect(guest.running.errors.contains("none is asked for"))
            // It is looked for, and found where there is one.
            try stage.write(version: 2, mode: 2, beside: second)
            try stage.notice(to: guest)
            #expect(try guest.running.wait(timeout: 3) == .signal(SIGTERM))
            _ = try events.finish(timeout: 5)
            #expect(try stage.requests(in: events).map { $0["disk"]?.string } == [second])
        }
    }

    // MARK: Refused

    @Test func whatCannotBeAskedForIsSaidPlainly() throws {
        try withStage { stage in
            let disk = try stage.hosts.disk()
            let lost = try stage.hosts.disk()
            expectOneLine(try stage.here.leasehold("request", lost), code: 66, naming: [lost, "has no lease"])
            let nowhere = "\(TwoHosts.lockspace):x:\(stage.scratch.file("nowhere")):0"
            expectOneLine(try stage.here.leasehold("request", nowhere), code: 66, naming: ["nowhere"])
            let own = try stage.here.start(["--disk", disk], named: "own")
            try own.waitUntilRecorded(disk)
            expectOneLine(
                try stage.here.leasehold("request", disk), code: 75,
                naming: [disk, "held on this host", "leasehold stop own"])
            #expect(own.running.isRunning)
            let shared = try stage.hosts.disk()
            let sharing = try stage.there.start(["--shared-disk", shared], named: "sharing")
            try stage.hosts.waitUntilSeen()
            expectOneLine(
                try stage.here.leasehold("request", shared), code: 75, naming: [shared, "shared", "sharing", "host2"])
            let elsewhere = "other:x:\(try stage.hosts.leasePath(disk)):0"
            expectOneLine(try stage.here.leasehold("request", elsewhere), code: 73, naming: ["is made for"])
            try own.stop()
            try sharing.stop()
        }
    }

    @Test func badInputIsRefused() throws {
        try withStage { stage in
            let bad: [([String], [String])] = [
                ([], ["disk"]), ([""], ["empty"]), (["/d", "--graceful", "--force"], ["--force"]),
                (["/d", "--wait", "soon"], ["soon", "30s"]), (["/d", "--wait", "-1s"], ["--wait"]),
                (["a:b:/c:x"], ["no offset"]), (["a:b:c:0"], ["absolute"]), (["a:b:/c:0:SH"], ["shared"]),
                (["a:b:/c:0:7"], ["SH"]), ([":b:/c:0"], ["lockspace"]), (["/d", "/e"], ["/e"]),
                (["/d", "--hard"], ["--hard"]),
            ]
            for (arguments, words) in bad {
                let outcome = try Program(
                    try Products.cli(), ["request"] + arguments, environment: stage.here.environment
                ).run()
                expectOneLine(outcome, code: 64, naming: words)
            }
        }
    }

    @Test func deadHostsLockspacesAndDaemonsAreTold() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let here = try Station(on: hosts.first, of: hosts, scratch)
                let there = try Station(on: hosts.second, of: hosts, scratch)
                let disk = try hosts.disk()
                let guest = try there.start(["--disk", disk], named: "bereft")
                try guest.waitUntilRecorded(disk)
                try hosts.waitUntilSeen()
                hosts.second.daemon.kill()
                #expect(try guest.running.wait(timeout: 5) == .exit(74))
                try eventually(within: 20, every: 500, "the host being dead") {
                    let outcome = try here.leasehold("request", disk)
                    guard outcome.status == .exit(75) else { return false }
                    expectOneLine(outcome, code: 75, naming: [disk, "bereft", "host2", "dead", "in at most"])
                    return true
                }
                try hosts.first.leave()
                expectOneLine(
                    try here.leasehold("request", disk), code: 69, naming: ["isn't joined", "leasehold lockspace join"])
                hosts.first.daemon.kill()
                expectOneLine(try here.leasehold("request", disk), code: 69, naming: ["sanlock daemon"])
            }
        }
    }
}
