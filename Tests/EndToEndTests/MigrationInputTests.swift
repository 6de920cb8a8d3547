import Foundation
import TestSupport
import Testing

/// What can't be done in a migration gets one line, and changes nothing on either side.
@Suite(.serialized) struct MigrationInputTests {
    @Test func whatIsNoTicketOfThisGuestIsRefused() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            let there = try stage.start(on: 1, incoming: true)
            let prepared = try here.ticket("prepare", "--to", there.uri)
            try here.migrate(to: there.uri)
            let ticket = try here.ticket("out")
            let version = try #require(ticket["leases"]?[0]?["version"]?.integer)

            func refuse(_ text: String, code: Int32, _ words: String...) throws {
                let path = try stage.scratch.write(text, to: "bad")
                let refused = try there.leasehold("migrate", "in", there.name, "--state", path)
                expectOneLine(refused, code: code, naming: words)
                #expect(try there.state() == "incoming", "\(text)")
            }
            for text in ["", "{}", "[]", "nonsense", "\0", "{\"kind\":\"leasehold-ticket\"}"] {
                try refuse(text, code: 64, "--state", "migrate out")
            }
            try refuse(String(repeating: "[", count: 100_000), code: 64, "--state")
            try refuse(String(repeating: " ", count: 3 << 20), code: 64, "--state")
            try refuse(ticket.setting("kind", "other").description, code: 64, "leasehold-ticket")
            try refuse(ticket.setting("version", 2).description, code: 64, "version")
            try refuse(ticket.setting("running", "yes").description, code: 64, "running")
            try refuse(ticket.setting("leases", [["state": "released"]]).description, code: 64, "leases")
            try refuse(prepared.description, code: 66, "not given back yet")
            try refuse(ticket.setting("uuid", "00000000-0000-0000-0000-000000000000").description, code: 66, stage.uuid)
            try refuse(ticket.setting("leases", []).description, code: 66, stage.disk, "no lease of it")
            let lease = try #require(ticket["leases"]?[0])
            let another = lease.setting("resource", "another")
            try refuse(ticket.setting("leases", [another]).description, code: 66, stage.disk)
            try refuse(ticket.setting("leases", [lease, another]).description, code: 66, "no such disk or lease here")
            try refuse(ticket.setting("leases", [lease, lease]).description, code: 66)
            try refuse(ticket.setting("leases", [lease.setting("mode", "shared")]).description, code: 66, "shared")
            try refuse(ticket.setting("leases", [lease.setting("version", nil)]).description, code: 66, "version")
            for wrong in [version - 1, version + 1, version + 1000] where wrong > 0 {
                let other = lease.setting("version", .integer(Int64(wrong)))
                try refuse(ticket.setting("leases", [other]).description, code: 75, stage.disk)
            }
            let elsewhere = lease.setting("disk", "/other")
            try refuse(ticket.setting("leases", [elsewhere]).description, code: 66, stage.disk, "another disk, /other")
            try refuse(ticket.setting("leases", [lease.setting("version", -1)]).description, code: 64, "version")
            try refuse(ticket.setting("leases", [lease.setting("version", 0)]).description, code: 66, "version")
            for missing in ["/nonexistent", stage.scratch.path] {
                let refused = try there.leasehold("migrate", "in", there.name, "--state", missing)
                expectOneLine(refused, code: 64, naming: ["--state", missing])
            }
            // None of this has cost anything. The ticket may come through a pipe.
            let path = try stage.scratch.write(ticket.description, to: "ticket")
            let words = try there.cli(["migrate", "in", there.name, "--state"])
            let script = "cat '\(path)' | \"$@\" /dev/stdin"
            var piped = Program("/bin/sh", ["-c", script, "sh", words.path] + words.arguments)
            piped.environment = words.environment
            try piped.run(timeout: 30).expecting(.exit(0))
            #expect(try there.version() == version + 1)
            stage.expectWriting()
            let again = try there.leasehold("migrate", "in", there.name, "--state", path)
            expectOneLine(again, code: 75, naming: ["running"])
            let late = try there.leasehold("migrate", "in", there.name, "--cancel")
            expectOneLine(late, code: 75, naming: ["running"])
            stage.expectWriting()
        }
    }

    @Test func whatDoesNotFitTheGuestsStateIsRefused() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            func refuse(_ arguments: [String], code: Int32, _ words: String...) throws {
                expectOneLine(try here.cli(["migrate"] + arguments).run(), code: code, naming: words)
                #expect(try here.state() == "running", "\(arguments)")
            }
            let ticket = try stage.scratch.write("{}", to: "ticket")
            try refuse(["out", "mover"], code: 75, "running")
            try refuse(["out", "mover", "--cancel"], code: 75, "running")
            try refuse(["in", "mover", "--cancel"], code: 75, "running")
            try refuse(["in", "mover", "--state", ticket], code: 64)
            try refuse(["in", "nobody", "--cancel"], code: 66, "nobody")
            try refuse(["prepare", "nobody", "--to", "x"], code: 66, "nobody")
            try refuse(["run", "mover", "--to", "mover"], code: 75, "not incoming")
            try refuse(["run", "mover", "--to", "nobody"], code: 66, "nobody")
            try refuse(["run", "mover", "--to", "/nonexistent/control"], code: 69, "/nonexistent/control")
            for arguments in [
                ["in", "mover"], ["prepare", "mover"], ["run", "mover"],
                ["in", "mover", "--state", ticket, "--cancel"],
            ] {
                let outcome = try here.cli(["migrate"] + arguments).run()
                #expect(outcome.status == .exit(64), "\(outcome)")
            }

            // A target of another guest's, one that is no target, one that takes nothing in.
            let stranger = try Stranger(stage, "-incoming", "unix:\(stage.scratch.file("in"))")
            try refuse(["run", "mover", "--to", stranger.control], code: 66, stranger.uuid, stage.uuid)
            #expect(try stranger.guest.status()["state"] == "incoming")
            let defers = try Stranger(stage, "-incoming", "defer", uuid: stage.uuid)
            try refuse(["run", "mover", "--to", defers.control], code: 64, "--qmp-uri")
            #expect(try defers.guest.status()["state"] == "incoming")
            stage.expectWriting()
            for one in [stranger, defers] { try one.end() }
        }
    }

    @Test func aTargetNeedsAMonitor() throws {
        try withScratch { scratch in
            let hosts = try TwoHosts.shared
            let station = try Station(on: hosts.first, of: hosts, scratch)
            try station.refused(
                ["--incoming"], Probe.command("sleep", "60"), code: 78, naming: ["--incoming", "--qmp"])
            let command = QEMU.command(disks: [try hosts.disk()], more: ["-incoming", "unix:\(scratch.file("in"))"])
            try station.refused([], command, code: 78, naming: ["-incoming", "--qmp"])
        }
    }

    /// It takes nothing yet, and is refused all the same where it could take nothing later.
    @Test func aTargetThatCannotReachTheLeasesDoesNotStart() throws {
        try Station.withTwo { hosts, here, _ in
            let scratch = here.scratch
            let disk = try hosts.disk()
            let options = ["--qmp", scratch.file("qmp"), "--incoming"]
            let command = QEMU.command(
                disks: [disk], qmpSocket: scratch.file("qmp"), more: ["-incoming", "defer"])
            // The source has made the lease file: without it this is another lease directory.
            try here.refused(options, command, code: 73, naming: [disk, try hosts.leasePath(disk), "mounted"])
            try hosts.formatLease(disk)
            try Data(repeating: 0x61, count: 1 << 20).write(to: URL(fileURLWithPath: try hosts.leasePath(disk)))
            try here.refused(options, command, code: 73, naming: [disk, "not formatted"])
            try FileManager.default.removeItem(atPath: try hosts.leasePath(disk))
            try hosts.formatLease(disk)
            var program = try here.supervised(options, command)
            program.environment["SANLOCK_RUN_DIR"] = scratch.file("nowhere")
            try here.refused(program, code: 69, naming: ["sanlock"])
            #expect(try hosts.holders(of: disk).isEmpty)
        }
    }

    /// The second of two that drive it gets nothing done, and spoils nothing.
    @Test func twoDoNotMigrateItAtOnce() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            let there = try stage.start(on: 1, incoming: true)
            try here.slowDown()
            let first = try stage.run(here, to: there)
            try eventually(within: 10, every: 5) {
                try here.monitor.execute("query-migrate")["status"]?.string == "active"
            }
            expectOneLine(
                try stage.run(here, to: there).finish(), code: 75, naming: ["mover is migrating", "out --cancel"])
            try here.hurry()
            try first.finish(timeout: 30).expecting(.exit(0))
            #expect(try there.state() == "running")
            stage.expectWriting()
        }
    }

    /// Anybody may stop a guest: only one that QEMU has sent has left.
    @Test func aSourceThatMerelyStandsStillHasNotLeft() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            _ = try here.ticket("prepare", "--to", "unix:/nowhere")
            let leaving = try stage.scratch.start(try here.cli(["migrate", "out", here.name]))
            try here.monitor.execute("stop")
            pause(milliseconds: 800)
            #expect(leaving.isRunning, "\(leaving.output)\(leaving.errors)")
            #expect(try here.guest.status()["leases"]?[0]?["state"] == "held")
            let version = try here.version()
            try here.callBack().expecting(.exit(0))
            #expect(try leaving.wait(timeout: 10) == .exit(75))
            #expect(try here.version() == version && here.state() == "running")
            stage.expectWriting()
        }
    }

    @Test func twoDoNotBringItInAtOnce() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            let there = try stage.start(on: 1, incoming: true)
            _ = try here.ticket("prepare", "--to", there.uri)
            try here.migrate(to: there.uri)
            let ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
            there.emulator.signal(SIGSTOP)
            let arguments = ["migrate", "in", there.name, "--state", ticket]
            let first = try stage.scratch.start(try there.cli(arguments))
            try first.waitUntilItAwaitsAnAnswer()
            expectOneLine(try there.cli(arguments).run(), code: 69, naming: ["still under way"])
            there.emulator.signal(SIGCONT)
            try first.finish().expecting(.exit(0))
            #expect(try there.state() == "running")
            stage.expectWriting()
        }
    }
}

/// Another guest that waits for a migration, on a disk of its own.
private struct Stranger {
    let guest: Guest
    let uuid: String
    var control: String { "\(guest.station.runDirectory)/guests/\(guest.name)/control" }

    init(_ stage: MigrationStage, _ more: String..., uuid: String = UUID().uuidString.lowercased()) throws {
        self.uuid = uuid
        let station = try Station(on: stage.hosts.second, of: stage.hosts, stage.scratch)
        let socket = stage.scratch.file("s-\(uuid.prefix(4))")
        // Its lease is there.
        let disk = try stage.hosts.disk()
        try stage.hosts.formatLease(disk)
        let command = QEMU.command(disks: [disk], qmpSocket: socket, more: ["-uuid", uuid] + more)
        let guest = try station.start(["--qmp", socket, "--incoming"], command, named: "stranger")
        self.guest = guest
        try eventually(within: 15, every: 20, "the stranger incoming") {
            try guest.status()["state"] == "incoming"
        }
    }

    func end() throws {
        try guest.station.leasehold("migrate", "in", guest.name, "--cancel").expecting(.exit(0))
        _ = try guest.running.wait(timeout: 5)
    }
}

extension JSONValue {
    /// The same object with another value; nil takes the key out.
    fileprivate func setting(_ key: String, _ value: JSONValue?) -> JSONValue {
        var object = object ?? [:]
        object[key] = value
        return .object(object)
    }
}
