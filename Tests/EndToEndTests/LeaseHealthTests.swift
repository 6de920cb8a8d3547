import Foundation
import TestSupport
import Testing

/// What `list` and `status` tell people of a guest's leases.
@Suite struct LeaseHealthTests {
    private func row(_ station: Station, _ name: String, code: Int32 = 0) throws -> [String: String] {
        try CommandTable(try station.leasehold("list").expecting(.exit(code)).output).row("NAME", name)
    }

    private func text(_ station: Station, _ name: String) throws -> String {
        try station.leasehold("status", name).expecting(.exit(0)).output
    }

    @Test func renewalsAndWhatFollowsWithoutThemAreShown() throws {
        try withTwoHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            let guest = try station.start(["--disk", try hosts.disk()], named: "web1")
            try eventually(within: 10, every: 100) {
                let row = try row(station, "web1")
                return row["HEALTH"]?.hasPrefix("renewed ") == true && row["WATCHDOG"] == "off"
            }
            let status = try text(station, "web1")
            #expect(
                status.contains("\nLast renewal: ") && status.contains(/\nUnless renewed: +the guest is stopped in/))
            #expect(status.contains("another host may take its leases in 6"))
            // A daemon that doesn't renew.
            hosts.first.daemon.stop()
            try eventually(within: 8, every: 50, "late renewals") {
                try row(station, "web1")["HEALTH"]?.hasPrefix("not renewed for") == true
            }
            #expect(try text(station, "web1").contains("which is late"))
            hosts.first.daemon.cont()
            try eventually(within: 10, every: 100, "renewals") {
                try row(station, "web1")["HEALTH"]?.hasPrefix("renewed ") == true
            }
            try guest.stop()
        }
    }

    @Test func ofASupervisorThatHangsWhatItWroteDownIsShownAndSaidToBe() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disk = try hosts.disk()
            let silent = try station.start(["--disk", disk], named: "silent")
            let other = try station.start(["--disk", try hosts.disk()], named: "other")
            silent.running.signal(SIGSTOP)
            let started = monotonicNanoseconds()
            let row = try row(station, "silent", code: 69)
            #expect(row["STATE"] == "running" && row["HEALTH"]?.hasPrefix("not known") == true)
            #expect(try self.row(station, "other", code: 69)["HEALTH"]?.hasPrefix("not known") == false)
            let list = try station.leasehold("list", "--json")
            #expect(try list.json().array?.compactMap { $0["name"]?.string } == ["other", "silent"])
            #expect(list.status == .exit(69) && list.errors.contains("does not answer"))
            let status = try station.leasehold("status", "silent")
            #expect(status.status == .exit(69) && status.errors.contains("does not answer"))
            #expect(status.output.contains(/\nAnswers: +no: all this was written down at 20/))
            #expect(status.output.contains(disk) && !status.output.contains("Last renewal"))
            let json = try station.leasehold("status", "silent", "--json")
            #expect(json.status == .exit(69))
            #expect(try json.json()["leases"]?[0]?["disk"]?.string == disk)
            // What was true of renewals then is not now.
            #expect(try json.json()["lockspaces"]?[0]?["lastRenewalSeconds"] == nil)
            #expect(secondsSince(started) < 45)
            silent.running.signal(SIGCONT)
            for guest in [silent, other] { try guest.stop() }
        }
    }

    @Test func aGuestThatStandsStillForItsLeasesSaysWhy() throws {
        try withPausedHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            let disk = try hosts.disk()
            let monitor = hosts.scratch.file("qmp")
            let guest = try station.start(
                ["--qmp", monitor, "--on-lease-loss", "pause"], QEMU.command(disks: [disk], qmpSocket: monitor),
                named: "web1")
            // Its monitor is there.
            try eventually(within: 10) { try station.leasehold("suspend", "web1").succeeded }
            try station.leasehold("resume", "web1").expecting(.exit(0))
            hosts.first.daemon.kill()
            try guest.running.waitUntilPaused(within: 15) { try row(station, "web1")["STATE"] == "paused" }
            #expect(try row(station, "web1")["HEALTH"] == "leases lost, waits for them")
            let status = try text(station, "web1")
            #expect(
                status.contains(/\nPaused: +since 20/) && status.contains("it goes on by itself"), "\(status)")
            guest.running.signal(SIGTERM)
            #expect(try guest.running.wait(timeout: 60) != .exit(125))
        }
    }

    /// Blocked in the kernel: its own storage is frozen.
    @Test func aGuestThatCannotDieIsToldOfWithWhatItLeadsTo() throws {
        try withTwoHosts { hosts in
            let mountPoint = try hosts.scratch.directory("m")
            try LeaseStorage(kind: "ext4", sectorBytes: 512).mount(at: mountPoint, hosts.scratch)
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            try Program.run("fsfreeze", ["-f", mountPoint]).expecting(.exit(0))
            let thaw = { _ = try? Program.run("fsfreeze", ["-u", mountPoint]) }
            defer { thaw() }
            let guest = try station.start(
                ["--disk", try hosts.disk()], ["dd", "if=/dev/zero", "of=\(mountPoint)/x", "bs=4k", "count=1"],
                named: "stuck")
            let writer = try #require(try guest.status()["childPid"]?.integer.map { pid_t($0) })
            try eventually(within: 10) { ProcessStatus(writer)?.state == "D" }
            hosts.first.daemon.kill()
            try eventually(within: 10, every: 100, "the end that doesn't come") {
                let row = try row(station, "stuck")
                return row["STATE"] == "stopping" && row["HEALTH"] == "leases lost, being ended"
            }
            let status = try text(station, "stuck")
            #expect(status.contains(/\nLeases lost: +all at 20/) && status.contains("without a watchdog"), "\(status)")
            thaw()
            #expect(try guest.running.wait(timeout: 10) == .exit(74))
        }
    }
}
