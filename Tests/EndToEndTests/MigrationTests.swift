import Foundation
import TestSupport
import Testing

/// A guest that writes goes from one host to the other, under its leases, and runs on one side at every moment.
@Suite(.serialized) struct MigrationTests {
    /// There and back so often; LEASEHOLD_SLOW: as often as is promised.
    private static let rounds = ProcessInfo.processInfo.environment["LEASEHOLD_SLOW"] == nil ? 2 : 20

    @Test func goesThereAndBackAndRunsOnOneSideAtEveryMoment() throws {
        try MigrationStage.with { stage in
            var here = try stage.start(on: 0)
            stage.expectWriting()
            for _ in 0..<2 * MigrationTests.rounds {
                let version = try #require(try here.version())
                let there = try stage.start(on: 1 - here.place, incoming: true)
                #expect(try there.version() == nil)
                let run = try stage.run(here, to: there).finish(timeout: 60).expecting(.exit(0))
                #expect(run.output.hasPrefix("mover is running at \(there.control), after "), "\(run)")
                #expect(run.errors == "")
                #expect(try there.state() == "running")
                #expect(try there.version() == version + 1)
                stage.expectWriting()
                #expect(try here.supervisor.wait(timeout: 10) == .signal(SIGKILL))
                #expect(try here.exitRecord()["reason"] == "killed")
                _ = try? eventually(within: 2) { there.events.count >= 4 }
                #expect(there.events == ["registered", "started", "acquired", "resumed"])
                let holders = try stage.hosts.holders(of: stage.disk)
                #expect(holders.count == 1 && holders.first?.host.id == there.place + 1, "\(holders)")
                try there.guest.waitUntilRecorded(stage.disk)
                stage.expectOneRunner()
                here.watch.end()
                here = there
            }
            #expect(here.watch.writes.count > 0 && here.watch.running.count > 0)
        }
    }

    @Test func goesStepByStepByATicketInAFileAndByOneThroughAPipe() throws {
        try MigrationStage.with { stage in
            var here = try stage.start(on: 0)
            stage.expectWriting()
            for way in ["file", "pipe"] {
                let version = try #require(try here.version())
                let there = try stage.start(on: 1 - here.place, incoming: true)
                let prepared = try here.ticket("prepare", "--to", there.uri)
                #expect(prepared["kind"] == "leasehold-ticket")
                #expect(prepared["uuid"]?.string == stage.uuid)
                #expect(prepared["uri"]?.string == there.uri)
                #expect(prepared["leases"]?[0]?["state"] == "held")
                #expect(prepared["leases"]?[0]?["version"]?.integer == version)
                #expect(try here.state() == "migrating")
                stage.expectWriting()

                try here.migrate(to: there.uri)
                #expect(try here.state() == "migrating")
                #expect(try there.state() == "incoming")
                let ticket = try here.ticket("out")
                #expect(ticket["leases"]?[0]?["state"] == "released")
                #expect(ticket["leases"]?[0]?["version"]?.integer == version)
                #expect(ticket["running"] == true)
                #expect(try here.state() == "migrating")
                #expect(try here.ticket("out") == ticket)
                #expect(try stage.hosts.holders(of: stage.disk).isEmpty)
                stage.expectStandstill(seconds: 0.3)

                var coming: Program
                if way == "file" {
                    let path = try stage.scratch.write(ticket.description, to: "ticket")
                    coming = try there.cli(["migrate", "in", there.name, "--state", path])
                } else {
                    coming = try there.cli(["migrate", "in", there.name, "--state", "-"])
                    coming.input = .data(ticket.data)
                }
                let outcome = try coming.run().expecting(.exit(0))
                #expect(outcome.output == "" && outcome.errors == "")
                #expect(try there.state() == "running")
                #expect(try there.version() == version + 1)
                stage.expectWriting()
                try here.leasehold("kill", here.name).expecting(.exit(0))
                #expect(try here.exitRecord()["reason"] == "killed")
                stage.expectOneRunner()
                here = there
            }
        }
    }

    /// It takes nothing in before its monitor is there.
    @Test func startsBeforeItIsIncoming() throws {
        try MigrationStage.with { stage in
            let late = stage.scratch.file("late")
            let socket = stage.scratch.file("early")
            let uri = "unix:\(stage.scratch.file("in"))"
            let command = stage.writer.command(
                qmpSocket: socket, report: stage.scratch.file("report"), more: ["-uuid", stage.uuid, "-incoming", uri])
            let source = try stage.start(on: 0)
            stage.expectWriting()
            let station = try Station(on: stage.hosts.second, of: stage.hosts, stage.scratch)
            let guest = try station.start(["--qmp", late], command, named: "mover")
            pause(milliseconds: 300)
            #expect(try guest.status()["state"] == "starting")
            let ticket = try stage.scratch.write("{}", to: "none")
            #expect(try station.leasehold("migrate", "in", "mover", "--state", ticket).status == .exit(64))
            #expect(symlink(socket, late) == 0)
            try eventually(within: 15, every: 20) { try guest.status()["state"] == "incoming" }
            // What runs as its target waits for that.
            #expect(try guest.status()["childPid"]?.integer != nil)
            #expect(try station.leasehold("migrate", "in", "mover", "--cancel").status == .exit(0))
            _ = try guest.running.wait(timeout: 5)
            #expect(try source.state() == "running")
        }
    }

    /// A guest that stood still stands still at its target, under its leases, and goes on there when it is told to.
    @Test func goesWhileItStandsStill() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            try here.leasehold("suspend", here.name).expecting(.exit(0))
            let version = try #require(try here.version())
            let there = try stage.start(on: 1, incoming: true)
            let run = try stage.run(here, to: there).finish(timeout: 60).expecting(.exit(0))
            #expect(run.output.hasPrefix("mover is paused at "), "\(run)")
            #expect(try there.version() == version + 1)
            stage.expectStandstill()
            try there.leasehold("resume", there.name).expecting(.exit(0))
            #expect(try there.state() == "running")
            stage.expectWriting()
        }
    }

    /// A guest that is asleep (ACPI S3) when it goes is the target's like any other.
    @Test func goesWhileItIsAsleep() throws {
        try Station.withTwo { hosts, here, there in
            let disk = try hosts.disk()
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: disk))
            try file.write(contentsOf: BootSector.sleeper)
            try file.close()
            let uri = "unix:\(here.scratch.file("in"))"
            func start(on station: Station, _ options: [String], _ more: [String]) throws -> (
                guest: Guest, monitor: QMP
            ) {
                let mark = UUID().uuidString.prefix(4)
                let (ours, manager) = (here.scratch.file("q\(mark)"), here.scratch.file("m\(mark)"))
                let command = QEMU.command(
                    qmpSocket: ours,
                    more: [
                        "-uuid", "8a1f6c1e-0000-4000-8000-5a1ee9000001", "-qmp", "unix:\(manager),server=on,wait=off",
                        "-drive", "file=\(disk),format=raw,if=virtio,file.locking=off",
                    ] + more)
                let guest = try station.start(["--qmp", ours] + options, command, named: "sleeper")
                return (guest, try QMP(manager))
            }
            let source = try start(on: here, [], [])
            try eventually(within: 20, "the guest being asleep") { try source.monitor.status() == "suspended" }
            let target = try start(on: there, ["--incoming"], ["-incoming", uri])
            try eventually(within: 15, every: 20) { try target.guest.status()["state"] == "incoming" }
            let control = "\(there.runDirectory)/guests/sleeper/control"
            try here.leasehold("migrate", "run", "sleeper", "--to", control, timeout: 15).expecting(.exit(0))
            #expect(try target.guest.status()["state"] == "running")
            #expect(try hosts.holders(of: disk).map(\.host.id) == [2])
            _ = try source.guest.running.wait(timeout: 5)
            try eventually(within: 30, "it falling asleep again") { try target.monitor.status() == "suspended" }
            try there.leasehold("kill", "sleeper").expecting(.exit(0))
        }
    }

    /// Preparing again changes nothing, also when the guest has gone already.
    @Test func isPreparedAsOftenAsOneLikes() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            let there = try stage.start(on: 1, incoming: true)
            let first = try here.ticket("prepare", "--to", there.uri)
            #expect(try here.ticket("prepare", "--to", there.uri) == first)
            try here.migrate(to: there.uri)
            #expect(try here.ticket("prepare", "--to", there.uri)["running"] == true)
            let ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
            try there.leasehold("migrate", "in", there.name, "--state", ticket).expecting(.exit(0))
            #expect(try there.state() == "running")
            stage.expectWriting()
        }
    }
}
