import Foundation
import TestSupport
import Testing

/// `lease list` and `lease show` where something is wrong: with a lease, a host, a daemon or the directory.
@Suite struct LeaseStateTests {
    @Test func whatIsNoLeaseIsCalledDamagedOrUnformatted() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let good = try hosts.disk()
            try hosts.formatLease(good)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: try hosts.leasePath(good)))
            #expect(try station.lease(of: good).json["state"] == "free")
            var flipped = bytes
            flipped[60] ^= 1
            let spoilt: [(String, String, (String) throws -> Void)] = [
                ("unformatted", "", { try Data().write(to: URL(fileURLWithPath: $0)) }),
                ("unformatted", "", { try Data(count: 1 << 20).write(to: URL(fileURLWithPath: $0)) }),
                ("unformatted", "", { try bytes.prefix(512).write(to: URL(fileURLWithPath: $0)) }),
                ("damaged", "begin", { try Data(repeating: 0x61, count: 1 << 20).write(to: URL(fileURLWithPath: $0)) }),
                ("damaged", "checksum", { try flipped.write(to: URL(fileURLWithPath: $0)) }),
                ("damaged", try leaseName(good), { try bytes.write(to: URL(fileURLWithPath: $0)) }),
                (
                    "damaged", "not a regular file",
                    {
                        try FileManager.default.createDirectory(atPath: $0, withIntermediateDirectories: false)
                    }
                ),
                ("damaged", "not a regular file", { #expect(mkfifo($0, 0o600) == 0) }),
                (
                    "damaged", "not a regular file",
                    {
                        try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: "/dev/zero")
                    }
                ),
            ]
            for (state, words, spoil) in spoilt {
                let disk = try hosts.disk()
                let path = try hosts.leasePath(disk)
                try spoil(path)
                defer { try? FileManager.default.removeItem(atPath: path) }
                let before = FileSight(path)
                let (facts, json) = try station.lease(of: disk)
                #expect(
                    json["state"]?.string == state && facts["State"]?.hasPrefix(state) == true, "\(facts)")
                #expect(words.isEmpty || json["problem"]?.string?.contains(words) == true, "\(json)")
                #expect(words.isEmpty || facts["State"]?.contains(words) == true, "\(facts)")
                #expect(json["hostId"] == nil && json["mode"] == nil)
                let (row, element) = try station.row(of: disk)
                #expect(row["STATE"] == facts["State"] && element["state"]?.string == state)
                #expect(FileSight(path) == before)
            }
            // A name that leads nowhere is none.
            let disk = try hosts.disk()
            let path = try hosts.leasePath(disk)
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "nothing")
            try station.leasehold(refusing: "lease", "show", disk, code: 66)
            try FileManager.default.removeItem(atPath: path)
        }
    }

    @Test func withoutADaemonTheHostsAreUnknown() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disk = try hosts.disk()
            let guest = try station.start(["--disk", disk], named: "watched")
            try guest.waitUntilRecorded(disk)
            let stopped = try scratch.directory("stale")
            // A killed daemon leaves its socket.
            let socket = try Program.run(
                "python3",
                [
                    "-c", "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
                    "\(stopped)/sanlock.sock",
                ])
            #expect(socket.succeeded, "\(socket)")
            for directory in [scratch.file("none"), stopped] {
                let environment = ["SANLOCK_RUN_DIR": directory]
                let (facts, json) = try station.lease(
                    of: disk, environment: environment, warning: "sanlock daemon can't be reached")
                #expect(facts["State"] == "held (host not known to be alive)", "\(facts)")
                #expect(json["state"] == "held" && json["liveness"] == "unknown")
                // The lease and the record are there to be read.
                #expect(json["guest"] == "watched" && json["hostName"] == "host1" && json["hostId"] == 1)
                let (row, _) = try station.row(
                    of: disk, environment: environment, warning: "sanlock daemon can't be reached")
                #expect(row["GUEST"] == "watched")
            }
            try guest.stop()
        }
    }

    /// The daemon itself calls its own host unknown for the first renewals.
    @Test func aGuestOfAHostThatHasJustJoinedIsSeenToLive() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let station = try Station(on: hosts.first, of: hosts, scratch)
                let disk = try hosts.disk()
                let guest = try station.start(["--disk", disk], named: "early")
                try guest.waitUntilRecorded(disk)
                let (_, json) = try station.lease(of: disk)
                #expect(json["state"] == "held" && json["liveness"] == "live" && json["guest"] == "early", "\(json)")
                try guest.stop()
            }
        }
    }

    @Test func aDaemonThatHangsIsNotWaitedForWithoutAWord() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let station = try Station(on: hosts.second, of: hosts, scratch)
                let disk = try hosts.disk()
                try hosts.formatLease(disk)
                hosts.second.daemon.stop()
                defer { hosts.second.daemon.cont() }
                // It blocks, which an interrupt ends at once.
                let running = try scratch.start(
                    Program(try Products.cli(), ["lease", "list"], environment: station.environment))
                pause(milliseconds: 300)
                running.signal(SIGINT)
                #expect(try running.wait(timeout: 2) != .exit(125))
            }
        }
    }

    @Test func aDirectoryThatCannotBeReadIsAFailureThatNamesIt() throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "alone", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let file = try scratch.write("no directory\n", to: "file")
            for directory in [scratch.file("missing"), file] {
                let station = try Station(daemon, id: 3, leaseDirectory: directory, scratch)
                for arguments in [
                    ["lease", "list"], ["lease", "list", "--json"], ["lease", "show", "/a/disk"],
                ] {
                    let outcome = try station.leasehold(arguments)
                    expectOneLine(outcome, code: 73, naming: [directory])
                }
            }
            // A user who may not.
            let closed = try scratch.directory("closed")
            let station = try Station(daemon, id: 3, leaseDirectory: closed, scratch)
            for path in [scratch.path, closed, station.configuration] {
                _ = chmod(path, path == closed ? 0o700 : 0o755)
            }
            let copy = try scratch.directory("bin")
            try FileManager.default.copyItem(atPath: try Products.cli(), toPath: "\(copy)/leasehold")
            for arguments in [["lease", "list"], ["lease", "show", "/a/disk"]] {
                let outcome = try Program(
                    "setpriv",
                    ["--reuid", "65534", "--regid", "65534", "--clear-groups", "\(copy)/leasehold"]
                        + arguments,
                    environment: station.environment
                ).run()
                // In front of it may stand that the daemon can't be asked either.
                #expect(outcome.status == .exit(73) && outcome.output == "", "\(outcome)")
                #expect(outcome.errors.split(separator: "\n").last?.contains(closed) == true, "\(outcome)")
            }
        }
    }

    @Test func aDeadHostsLeaseIsDeadAndStillNamesItsGuest() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let stations = try [hosts.first, hosts.second].map {
                    try Station(on: $0, of: hosts, scratch)
                }
                let disks = try (0..<3).map { _ in try hosts.disk() }
                let guest = try stations[1].start(
                    ["--disk", disks[0], "--shared-disk", disks[1], "--shared-disk", disks[2]],
                    named: "bereft")
                let survivor = try stations[0].start(["--shared-disk", disks[2]], named: "survivor")
                try guest.waitUntilRecorded(disks[0])
                try hosts.waitUntilSeen()
                hosts.second.daemon.kill()
                #expect(try guest.running.wait(timeout: 5) == .exit(74))

                var json: JSONValue = .null
                try eventually(within: 20, every: 250, "host2's lease being dead") {
                    json = try stations[0].lease(of: disks[0]).json
                    guard json["state"] == "held" else { return true }
                    // Until its silence is certain it counts as living.
                    #expect(json["liveness"] == "live")
                    return false
                }
                #expect(json["state"] == "dead" && json["liveness"] == "dead" && json["hostId"] == 2)
                #expect(json["freeWithin"]?.number.map { (1...75).contains($0) } == true, "\(json)")
                #expect(json["guest"] == "bereft" && json["record"] == "believed", "\(json)")
                let shared = try stations[0].lease(of: disks[1])
                #expect(shared.json["state"] == "dead" && shared.json["mode"] == "shared")
                #expect(shared.json["guest"] == "bereft", "\(shared.json)")
                #expect(
                    shared.facts["State"]?.hasPrefix("host dead, free in at most ") == true, "\(shared.facts)"
                )
                let both = try stations[0].lease(of: disks[2]).json
                #expect(
                    both["state"] == "held" && both["liveness"] == "live" && both["guest"] == "survivor")
                #expect(both["sharedBy"] == [1, 2])
                let (row, _) = try stations[0].row(of: disks[0])
                #expect(row["DISK"] == disks[0] && row["HOST"] == "host2 (2)")
                #expect(row["STATE"]?.hasPrefix("host dead, free in at most ") == true)
                try survivor.stop()
            }
        }
    }

    @Test func aHostThatHasLeftHoldsNothing() throws {
        try withTwoHosts { hosts in
            try withScratch { scratch in
                let stations = try [hosts.first, hosts.second].map {
                    try Station(on: $0, of: hosts, scratch)
                }
                let disk = try hosts.disk()
                try hosts.formatLease(disk)
                let stranger = try hosts.second.hold(try hosts.leaseText(disk))
                try hosts.waitUntilSeen()
                #expect(try stations[0].lease(of: disk).json["state"] == "held")
                // Its lease is written as held for ever, and its host is gone in order.
                hosts.second.daemon.kill()
                stranger.end()
                try hosts.second.daemon.restart()
                try hosts.second.join()
                try eventually(within: 10, every: 100, "the lease of an earlier stay being free") {
                    try stations[0].lease(of: disk).json["state"] == "free"
                }
                let guest = try stations[0].start(["--disk", disk], named: "next")
                try guest.stop()
            }
        }
    }
}
