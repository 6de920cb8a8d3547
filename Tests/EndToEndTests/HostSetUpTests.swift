import Foundation
import TestSupport
import Testing

/// Settings that don't fit what the daemon has joined, or what other hosts do.
@Suite struct HostSetUpTests {
    @Test func aHostIDOtherThanTheJoinedOneIsRefused() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let station = try Station(hosts.first.daemon, id: 2, leaseDirectory: hosts.leaseDirectory, scratch)
            try station.refused(["--disk", disk], code: 69, naming: [TwoHosts.lockspace, "host id 2"])
            #expect(try hosts.holders(of: disk).isEmpty)
        }
    }

    /// The lease would be taken in a file that no other host looks at.
    @Test func aLeaseDirectoryOtherThanTheLockspacesIsRefused() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let guest = try Station(on: hosts.first, of: hosts, scratch).start(["--disk", disk])
            let elsewhere = try scratch.directory("elsewhere")
            let station = try Station(hosts.second.daemon, id: 2, leaseDirectory: elsewhere, scratch)
            try station.refused(["--disk", disk], code: 69, naming: [TwoHosts.lockspace, "disk_lease_dir"])
            #expect(try hosts.holders(of: disk).map(\.resource.pid) == [guest.pid])
            try guest.stop()
        }
    }

    @Test func aLeaseFileWithoutASlotForThisHostIsNamed() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let disk = try hosts.disk()
            let path = try hosts.scratch.disk("leases/\(try leaseName(disk))")
            let text = try hosts.leaseText(disk)
            try hosts.first.daemon.sanlock("direct", "init", "-r", text, "-n", "1").expecting(.exit(0))
            try Station(on: hosts.first, of: hosts, scratch).start(["--disk", disk]).stop()
            let station = try Station(on: hosts.second, of: hosts, scratch)
            try station.refused(["--disk", disk], code: 78, naming: [disk, path, "host id"])
        }
    }

    /// sanlock takes over a minute to be sure; whoever waits for that can see it and end it.
    @Test func aJoinUnderADeadHostsIDCanBeWatchedAndEnded() throws {
        try withScratch { scratch in
            let leases = try scratch.directory("leases")
            let dead = try SanlockDaemon(hostName: "dead", runDirectory: scratch.file("d"))
            scratch.atEnd { dead.end() }
            try Station(dead, id: 5, leaseDirectory: leases, scratch).start(["--disk", "/d"]).stop()
            // It didn't give its id back.
            dead.kill()
            let daemon = try SanlockDaemon(hostName: "twin", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let twin = try Station(daemon, id: 5, leaseDirectory: leases, scratch)
            let disk = "/another"
            let starting = try scratch.start(
                try twin.supervised(["--name", "twin", "--disk", disk], Probe.command("sleep", "60")))
            try eventually(within: 10) {
                let told = try twin.leasehold("status", "twin", "--json")
                return try told.succeeded && told.json()["state"] == "acquiring" && told.json()["leases"] == []
            }
            let sent = monotonicNanoseconds()
            starting.signal(SIGINT)
            let outcome = try starting.finish(timeout: 5)
            #expect(secondsSince(sent) < 4 && outcome.status == .signal(SIGINT))
            #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
            #expect(twin.runFiles() == [])
            #expect(!FileManager.default.fileExists(atPath: "\(leases)/\(try leaseName(disk))"))
        }
    }

    @Test func aDaemonThatDiesDuringTheWaitEndsTheStart() throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "mortal", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let station = try Station(daemon, id: 3, leaseDirectory: try scratch.directory("leases"), scratch)
            let holder = try station.start(["--disk", "/d"], named: "holder")
            let waiting = try scratch.start(
                try station.supervised(["--name", "w", "--wait", "60", "--disk", "/d"], Probe.command("sleep", "60")))
            pause(milliseconds: 500)
            #expect(waiting.isRunning)
            let killed = monotonicNanoseconds()
            daemon.kill()
            expectOneLine(try waiting.finish(timeout: 5), code: 69, naming: ["w"])
            #expect(try holder.running.finish(timeout: 5).status == .exit(74))
            #expect(secondsSince(killed) < 8)
            #expect(station.runFiles() == ["exits/holder.json"])
            // A new daemon knows nothing of them, and the host joins again by itself.
            try daemon.restart()
            try station.start(["--disk", "/d"], named: "after").stop()
        }
    }
}
