import Foundation
import TestSupport
import Testing

/// `lease list` and `lease show`: who holds what.
@Suite struct LeaseCommandTests {
    private func withStations(_ body: (TwoHosts, [Station]) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            try body(
                hosts, try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, scratch) })
        }
    }

    // MARK: What is whole

    @Test func anExclusiveLeaseIsShownWithAllThatIsKnownOfItsHolder() throws {
        try withStations { hosts, stations in
            try hosts.waitUntilSeen()
            let disk = try hosts.disk()
            let guest = try stations[0].start(["--disk", disk], named: "owner")
            try guest.waitUntilRecorded(disk)
            let since = try #require(try stations[0].record(of: disk)?["since"]?.string)
            let uuid = try #require(try guest.status()["uuid"]?.string)
            for station in stations {
                let (facts, json) = try station.lease(of: disk)
                #expect(
                    facts.facts == [
                        "Disk": disk, "Lease": try leaseName(disk), "File": try hosts.leasePath(disk),
                        "State": "held",
                        "Mode": "exclusive", "Host": "host1 (1)", "Guest": "owner", "UUID": uuid,
                        "Supervisor": "\(guest.pid)", "Since": since, "Version": "1",
                        "Room for": "host ids up to 250",
                    ])
                let expected: JSONValue = [
                    "disk": .string(disk), "lease": .string(try leaseName(disk)),
                    "path": .string(try hosts.leasePath(disk)), "state": "held", "mode": "exclusive",
                    "hostId": 1,
                    "hostName": "host1", "liveness": "live", "guest": "owner", "uuid": .string(uuid),
                    "pid": .integer(Int64(guest.pid)), "since": .string(since), "record": "believed",
                    "version": 1,
                    "hosts": 250,
                ]
                #expect(json == expected)
                let (row, element) = try station.row(of: disk)
                #expect(
                    row == [
                        "DISK": disk, "LEASE": try leaseName(disk), "MODE": "exclusive", "HOST": "host1 (1)",
                        "GUEST": "owner", "SINCE": since, "STATE": "held",
                    ])
                #expect(element == expected)
            }
            try guest.stop()
            for station in stations {
                let (facts, json) = try station.lease(of: disk)
                #expect(facts["State"] == "free" && json["state"] == "free")
                #expect(
                    facts["Guest"] == nil && json["guest"] == nil && json["mode"] == nil
                        && json["hostId"] == nil)
                #expect(json["version"] == 1)
                let (row, _) = try station.row(of: disk)
                #expect(
                    [row["MODE"], row["HOST"], row["GUEST"], row["SINCE"], row["STATE"]] == [
                        "-", "-", "-", "-", "free",
                    ])
            }
        }
    }

    @Test func aLeaseSharedByTwoHostsNamesBoth() throws {
        try withStations { hosts, stations in
            try hosts.waitUntilSeen()
            let disk = try hosts.disk()
            let guests = try stations.enumerated().map { index, station in
                try station.start(["--shared-disk", disk], named: "sharer\(index + 1)")
            }
            for guest in guests {
                try eventually(within: 5, "the record of \(guest.name)") {
                    let path = "\(hosts.leaseDirectory)/.leasehold/\(try leaseName(disk))"
                    let id = guest.station.daemon.hostName == "host1" ? 1 : 2
                    return FileManager.default.fileExists(atPath: "\(path).\(id)-\(guest.pid).json")
                }
            }
            for station in stations {
                let (facts, json) = try station.lease(of: disk)
                #expect(facts["State"] == "held" && facts["Mode"] == "shared")
                #expect(facts["Shared by"]?.contains("1, 2") == true)
                #expect(facts["Host"] == "host1 (1)" && facts["Guest"] == "sharer1")
                #expect(
                    json["sharedBy"] == [1, 2] && json["mode"] == "shared" && json["record"] == "believed")
                #expect(try station.row(of: disk).row["MODE"] == "shared")
            }
            try guests[0].stop()
            for station in stations {
                let (facts, json) = try station.lease(of: disk)
                #expect(
                    facts["State"] == "held" && facts["Host"] == "host2 (2)" && facts["Guest"] == "sharer2")
                #expect(facts["Shared by"] == nil && json["sharedBy"] == [2])
            }
            try guests[1].stop()
            for station in stations { #expect(try station.lease(of: disk).json["state"] == "free") }
        }
    }

    @Test func aPathIsTakenAsGuestsAreGivenIt() throws {
        try withStations { hosts, stations in
            let disk = try hosts.disk("lease show \(UUID().uuidString.prefix(8))")
            let guest = try stations[1].start(["--disk", disk], named: "spelled")
            try guest.waitUntilRecorded(disk)
            let folder = (disk as NSString).deletingLastPathComponent
            let file = (disk as NSString).lastPathComponent
            let expected = try stations[0].lease(of: disk).json
            #expect(expected["guest"] == "spelled")
            for (path, directory) in [
                ("file:\(disk)", "/"), (file, folder), ("file:\(file)", folder),
            ] {
                let outcome = try stations[0].leasehold(["lease", "show", "--json", path], in: directory)
                #expect(try outcome.expecting(.exit(0)).json() == expected, "\(path)")
            }
            // Another name is another lease, as for guests.
            let line = try stations[0].leasehold(
                refusing: "lease", "show", "/\(disk)", code: 66, naming: ["/\(disk)"])
            #expect(line.contains("no lease"))
            try guest.stop()
        }
    }

    @Test func aDiskWithoutALeaseIsNotFoundAndNoDiskIsUsage() throws {
        try withStations { hosts, stations in
            let disk = try hosts.disk()
            for format in ["--json", "--config=\(stations[0].configuration)"] {
                try stations[0].leasehold(
                    refusing: "lease", "show", disk, format, code: 66, naming: [disk, try leaseName(disk)])
            }
            try stations[0].leasehold(refusing: "lease", "show", code: 64, naming: ["disk"])
            try stations[0].leasehold(refusing: "lease", "list", disk, code: 64)
        }
    }

    // MARK: Holders that are none of ours

    @Test func aStrangersLeaseIsShownWithItsHostAndWithoutAGuest() throws {
        try withStations { hosts, stations in
            try hosts.waitUntilSeen()
            for isShared in [false, true] {
                let disk = try hosts.disk()
                try hosts.formatLease(disk)
                let stranger = try hosts.second.hold(try hosts.leaseText(disk, shared: isShared))
                for station in stations {
                    let (facts, json) = try station.lease(of: disk)
                    #expect(facts["State"] == "held" && facts["Host"] == "host2 (2)")
                    #expect(facts["Mode"] == (isShared ? "shared" : "exclusive"))
                    #expect(facts["UUID"] == nil && facts["Supervisor"] == nil && facts["Since"] == nil)
                    #expect(facts["Room for"] == "host ids up to 2000")
                    #expect(json["record"] == "none" && json["guest"] == nil && json["liveness"] == "live")
                    // A guest may be called so.
                    #expect(facts["Guest"] != "none")
                    let (row, _) = try station.row(of: disk)
                    #expect(row["HOST"] == "host2 (2)" && row["GUEST"] == "-" && row["STATE"] == "held")
                }
                stranger.end()
            }
        }
    }

    @Test func aRecordThatTheLeaseContradictsIsCalledStaleAndNotBelieved() throws {
        try withStations { hosts, stations in
            try hosts.waitUntilSeen()
            let disk = try hosts.disk()
            let guest = try stations[0].start(["--disk", disk], named: "truthful")
            try guest.waitUntilRecorded(disk)
            let path = "\(hosts.leaseDirectory)/.leasehold/\(try leaseName(disk)).json"
            let good = try String(contentsOfFile: path, encoding: .utf8)
                .replacingOccurrences(of: "truthful", with: "liar")
            let generation = try #require(try JSONValue(parsing: good)["generation"]?.integer)
            let lies = [
                good.replacingOccurrences(of: #""lver": 1"#, with: #""lver": 2"#),
                good.replacingOccurrences(of: #""lver": 1"#, with: #""lver": "1""#),
                good.replacingOccurrences(of: #""lver": 1"#, with: #""lver": 1.0e400"#),
                good.replacingOccurrences(of: #""hostId": 1"#, with: #""hostId": 2"#),
                good.replacingOccurrences(
                    of: "\"generation\": \(generation)", with: "\"generation\": \(generation + 1)"),
                good.replacingOccurrences(of: disk, with: "\(disk)x"),
                good.replacingOccurrences(of: "liar", with: #"liar\n"#),
                good.replacingOccurrences(of: "liar", with: ""),
                "liar", "", String(repeating: "[", count: 60_000),
                good + String(repeating: " ", count: 1 << 20),
            ]
            for lie in lies {
                #expect(lie != good)
                try Data(lie.utf8).write(to: URL(fileURLWithPath: path))
                for station in stations {
                    let (facts, json) = try station.lease(of: disk)
                    #expect(
                        facts["State"] == "held (stale record)" && json["record"] == "stale",
                        "\(lie.prefix(400))")
                    #expect(
                        json["guest"] == nil && json["pid"] == nil && json["since"] == nil
                            && json["uuid"] == nil)
                    #expect(!"\(facts)".contains("liar") && !"\(json)".contains("liar"), "\(lie.prefix(400))")
                    #expect(json["hostName"] == "host1")
                    #expect(facts["Guest"] != "stale")
                }
                let (row, _) = try stations[1].row(of: disk)
                #expect(
                    row["STATE"] == "held (stale record)" && row["GUEST"] == "-" && row["SINCE"] == "-",
                    "\(lie.prefix(400))")
            }
            try Data(good.utf8).write(to: URL(fileURLWithPath: path))
            #expect(try stations[1].lease(of: disk).json["guest"] == "liar")
            // The record has another guest's name, and still is this process's to remove.
            try guest.stop()
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func namesAndRecordsMoveNoCursor() throws {
        try withStations { hosts, stations in
            let disk =
                "\(hosts.scratch.path)/disks/\u{1b}[31m\r\n\t\u{202e}\u{2066}é\u{7f}\u{85}-\(UUID().uuidString)"
            try Data().write(to: URL(fileURLWithPath: disk))
            let guest = try stations[0].start(["--disk", disk], named: "plain")
            try guest.waitUntilRecorded(disk)
            let (facts, json) = try stations[1].lease(of: disk)
            #expect(facts["Disk"]?.contains(#"\u{1b}[31m\u{d}\u{a}"#) == true)
            #expect(facts["Guest"] == "plain" && json["guest"] == "plain" && json["disk"]?.string == disk)
            let (row, element) = try stations[1].row(of: disk)
            #expect(row["DISK"]?.contains(#"\u{1b}[31m\u{d}\u{a}"#) == true && row["GUEST"] == "plain")
            #expect(element["disk"]?.string == disk)
            let path = "\(hosts.leaseDirectory)/.leasehold/\(try leaseName(disk)).json"
            let good = try String(contentsOfFile: path, encoding: .utf8)
            for key in ["guest", "uuid", "hostName", "since"] {
                let value = try #require(try JSONValue(parsing: good)[key]?.string)
                let odd = good.replacingOccurrences(
                    of: "\"\(key)\": \"\(value)\"", with: "\"\(key)\": \"x\\u202e\\u2067y\\u2028z\"")
                #expect(odd != good, "\(key)")
                try Data(odd.utf8).write(to: URL(fileURLWithPath: path))
                // Both look at every character that they print.
                _ = try stations[1].lease(of: disk)
                _ = try stations[1].row(of: disk)
            }
            try guest.stop()
        }
    }
}
