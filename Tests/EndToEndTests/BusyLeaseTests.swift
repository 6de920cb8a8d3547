import Foundation
import TestSupport
import Testing

/// A disk that another guest has: who is told what, and what is left of the start.
@Suite struct BusyLeaseTests {
    @Test(arguments: [1, 2])
    func theRefusalNamesDiskGuestHostAndSinceWhen(hostID: Int) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let holder = try Station(on: hosts.first, of: hosts, scratch)
            let guest = try holder.start(["--disk", disk], named: "holder-1")
            try guest.waitUntilRecorded(disk)
            let since = try #require(try holder.record(of: disk)?["since"]?.string)
            let station = try Station(on: hostID == 1 ? hosts.first : hosts.second, of: hosts, scratch)

            let expected = ["can't start second", disk, "guest holder-1", "host1", "host id 1", since, "--wait"]
            for command in [try Probe.command("sleep", "60"), QEMU.command(disks: [disk])] {
                let extra = command.contains("-drive") ? [] : ["--disk", disk]
                let refusal = try station.refused(["--name", "second"] + extra, command, code: 75, naming: expected)
                #expect(refusal.outcome.seconds < 8)
            }
            // The holder has noticed nothing, and its record is still there.
            #expect(guest.running.isRunning)
            #expect(try guest.leases().map(\.version) == [1])
            #expect(try holder.record(of: disk)?["guest"] == "holder-1")
            try guest.stop()
            #expect(try holder.record(of: disk) == nil)
        }
    }

    @Test func aRefusedStartOnAFreshHostLeavesNoDirectory() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let holder = try Station(on: hosts.first, of: hosts, scratch).start(["--disk", disk])
            let station = try Station(on: hosts.second, of: hosts, scratch)
            try station.refused(["--disk", disk], code: 75, naming: [disk])
            #expect(
                (try? FileManager.default.contentsOfDirectory(atPath: "\(station.runDirectory)/guests")) ?? [] == [])
            #expect((try? FileManager.default.contentsOfDirectory(atPath: "\(station.runDirectory)/exits")) ?? [] == [])
            try holder.stop()
        }
    }

    @Test(arguments: [1, 2])
    func withTheThirteenthOfTwentyBusyTheOthersAreFreeAgain(hostID: Int) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disks = try (0..<20).map { _ in try hosts.disk() }
            let holder = try Station(on: hosts.first, of: hosts, scratch)
            let guest = try holder.start(["--disk", disks[12]], named: "thirteen")
            try guest.waitUntilRecorded(disks[12])
            let station = try Station(on: hostID == 1 ? hosts.first : hosts.second, of: hosts, scratch)
            let options = disks.flatMap { ["--disk", $0] }
            try station.refused(options, code: 75, naming: [disks[12], "guest thirteen", "host1"])

            let others = Array(disks[..<12] + disks[13...])
            for disk in others { #expect(try hosts.holders(of: disk).isEmpty) }
            #expect(try hosts.holders(of: disks[12]).map(\.resource.pid) == [guest.pid])
            // Free for whoever comes, on the other host too.
            let next = try Station(on: hostID == 1 ? hosts.second : hosts.first, of: hosts, scratch)
            let taker = try next.start(others.flatMap { ["--disk", $0] }, named: "taker")
            try expectLeases(of: taker, try others.map { try ExpectedLease($0, in: hosts.leaseDirectory) })
            try taker.stop()
            try guest.stop()
            #expect(hosts.first.daemon.isRunning && hosts.second.daemon.isRunning)
        }
    }

    @Test func aHolderWithoutARecordIsNamedByItsHost() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            try hosts.formatLease(disk)
            let foreign = try hosts.second.hold(try hosts.leaseText(disk))
            let station = try Station(on: hosts.first, of: hosts, scratch)
            try station.refused(["--disk", disk], code: 75, naming: [disk, "host2", "host id 2"])
            foreign.end()
        }
    }

    @Test func aRecordThatDoesNotFitTheLeaseIsNotBelieved() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            try hosts.formatLease(disk)
            let foreign = try hosts.first.hold(try hosts.leaseText(disk))
            let station = try Station(on: hosts.second, of: hosts, scratch)
            let folder = "\(hosts.leaseDirectory)/.leasehold"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let path = "\(folder)/\(try leaseName(disk)).json"
            let good = #"{"disk":"\#(disk)","guest":"liar","hostId":1,"lver":1,"pid":1,"since":"2020-01-01T00:00:00Z"}"#
            for lie in [
                good.replacingOccurrences(of: #""lver":1"#, with: #""lver":7"#),
                good.replacingOccurrences(of: #""hostId":1"#, with: #""hostId":2"#),
                good.replacingOccurrences(of: disk, with: "/another"), "liar", "{", "[]",
                good.replacingOccurrences(of: "liar", with: #"liar\u001b[31m\nliar"#),
                String(repeating: "[", count: 60_000), good + String(repeating: " ", count: 1 << 20),
            ] {
                try Data(lie.utf8).write(to: URL(fileURLWithPath: path))
                let line = try station.refused(["--disk", disk], code: 75, naming: [disk, "host1"]).line
                #expect(!line.contains("liar"), "\(lie.prefix(200)): \(line)")
            }
            try FileManager.default.removeItem(atPath: path)
            #expect(mkfifo(path, 0o600) == 0)
            let refusal = try station.refused(["--disk", disk], code: 75, naming: [disk, "host1"])
            #expect(refusal.outcome.seconds < 8)
            try FileManager.default.removeItem(atPath: path)
            foreign.end()
        }
    }

    @Test func ofManyStartsAtOnceOneWins() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disks = try (0..<10).map { _ in try hosts.disk() }
            let stations = [
                try Station(on: hosts.first, of: hosts, scratch), try Station(on: hosts.second, of: hosts, scratch),
            ]
            let starts = try (0..<8).map { index in
                // Half of them ask in the opposite order.
                let wanted = index % 4 < 2 ? disks : disks.reversed()
                return try scratch.start(
                    try stations[index % 2].supervised(
                        ["--name", "g\(index)", "--wait", "120"] + wanted.flatMap { ["--disk", $0] },
                        Probe.command("sleep", "0.1")))
            }
            // Everybody gets his turn, never two at a time.
            while starts.contains(where: \.isRunning) {
                for host in [hosts.first, hosts.second] {
                    let held = try host.daemon.clientStatus().resources.filter { resource in
                        starts.contains { $0.pid == resource.pid }
                    }
                    #expect(Set(held.map(\.name)).count == held.count)
                }
                pause(milliseconds: 20)
            }
            for start in starts { #expect(start.status == .exit(0), "\(start.errors)") }
            let station = stations[0]
            let last = try station.start(["--disk", disks[0]], named: "last")
            #expect(try (last.leases().first?.version ?? 0) >= 9)
            try last.stop()
        }
    }
}

/// `--wait`: how a start waits for a busy lease, and what ends the wait.
@Suite struct WaitTests {
    /// Runs `body` with a guest that holds a disk, and a start that waits for it on the host of this number.
    private func whileWaiting(
        on hostID: Int, _ duration: String, _ body: (Guest, Station, RunningProgram) throws -> Void
    ) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let holder = try Station(on: hosts.first, of: hosts, scratch).start(["--disk", disk], named: "holder")
            try holder.waitUntilRecorded(disk)
            let station = try Station(on: hostID == 1 ? hosts.first : hosts.second, of: hosts, scratch)
            let waiting = try scratch.start(
                try station.supervised(
                    ["--name", "waiting", "--wait", duration, "--disk", disk], Probe.command("sleep", "60")))
            try eventually(within: 10, every: 20, "\(waiting) waiting: \(waiting.errors)") {
                try station.leasehold("status", "waiting", "--json").output.contains("\"acquiring\"")
            }
            try body(holder, station, waiting)
            if holder.running.isRunning { try holder.stop() }
            try eventually(within: 2, every: 20) { try hosts.holders(of: disk).isEmpty }
            #expect(FileManager.default.fileExists(atPath: "\(station.runDirectory)/guests/waiting") == false)
        }
    }

    @Test(arguments: [1, 2])
    func aWaitingStartGetsTheLeaseWhenItBecomesFree(hostID: Int) throws {
        try whileWaiting(on: hostID, "30s") { holder, station, waiting in
            pause(milliseconds: 600)
            #expect(waiting.isRunning && waiting.errors == "" && waiting.output == "")
            try holder.stop()
            let freed = monotonicNanoseconds()
            let guest = Guest(running: waiting, name: "waiting", station: station)
            try eventually(within: 5, every: 10) { try guest.leases().contains { $0.remarks.isEmpty } }
            #expect(secondsSince(freed) < 5)
            #expect(try guest.leases().map(\.version) == [2])
            try eventually(within: 5) { try guest.status()["state"] == "running" }
            try guest.stop()
        }
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT])
    func aSignalEndsTheWaitAtOnce(signal: Int32) throws {
        try whileWaiting(on: 2, "60s") { holder, _, waiting in
            let sent = monotonicNanoseconds()
            waiting.signal(signal)
            let outcome = try waiting.finish(timeout: 5)
            #expect(secondsSince(sent) < 4)
            #expect(outcome.status == .signal(signal))
            #expect(outcome.output == "")
            #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
            #expect(outcome.errors.contains("interrupted"), "\(outcome.errors)")
            #expect(holder.running.isRunning)
        }
    }

    @Test(arguments: ["stop", "kill"])
    func toolsEndTheWait(verb: String) throws {
        try whileWaiting(on: 1, "60s") { _, station, waiting in
            let outcome = try station.leasehold(verb, "waiting", timeout: 5)
            #expect(outcome.succeeded, "\(outcome)")
            let ended = try waiting.finish(timeout: 2)
            #expect(ended.errors.split(separator: "\n").count == 1, "\(ended.errors)")
        }
    }

    @Test func theWaitIsGivenUpAfterItsTime() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let holder = try Station(on: hosts.first, of: hosts, scratch).start(["--disk", disk], named: "holder")
            try holder.waitUntilRecorded(disk)
            let configured = try Station(on: hosts.second, of: hosts, scratch, settings: ["wait": "\"1500ms\""])
            let plain = try Station(on: hosts.second, of: hosts, scratch)
            let waits = [
                try configured.refused(["--disk", disk], code: 75, naming: [disk, "guest holder"]),
                try plain.refused(["--wait", "1.5s", "--disk", disk], code: 75, naming: [disk, "guest holder"]),
            ]
            for wait in waits { #expect((1.4...12).contains(wait.outcome.seconds), "\(wait.outcome)") }
            // The option goes before the file.
            let patient = try Station(on: hosts.second, of: hosts, scratch, settings: ["wait": "60"])
            try patient.refused(["--wait", "0", "--disk", disk], code: 75, naming: [disk])
            try holder.stop()
        }
    }

    @Test func holderIsNamedWithALeaseDirectoryThatNeedsEscapes() throws {
        try withScratch { scratch in
            let directory = try scratch.directory("a lease: directory")
            let daemon = try SanlockDaemon(hostName: "lonely", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let station = try Station(daemon, id: 7, leaseDirectory: directory, scratch)
            let holder = try station.start(["--disk", "/no/disk"], named: "holder")
            try holder.waitUntilRecorded("/no/disk")
            #expect(try holder.status()["leases"]?[0]?["version"] == 1)
            try station.refused(["--disk", "/no/disk"], code: 75, naming: ["/no/disk", "guest holder", "host lonely"])
            try holder.stop()
        }
    }
}
