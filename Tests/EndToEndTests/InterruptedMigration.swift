import Foundation
import TestSupport
import Testing

/// A migration that something happens to.
final class InterruptedMigration {
    let stage: MigrationStage
    let interruption: MigrationInterruption
    private let here: MigrationSide
    private let there: MigrationSide
    private let version: Int
    private let relay: StreamRelay
    /// The command that was under way.
    private var driver: RunningProgram?
    private var ticket: String?

    init(_ stage: MigrationStage, _ interruption: MigrationInterruption) throws {
        self.stage = stage
        self.interruption = interruption
        here = try stage.start(on: 0)
        stage.expectWriting()
        there = try stage.start(on: 1, incoming: true)
        version = try #require(try here.version())
        relay = try StreamRelay(
            at: stage.scratch.file("relay"), to: String(there.uri.dropFirst("unix:".count)))
    }

    /// Brings the migration to its moment, does what is to be done to it, and brings it to the end that is left.
    func play() throws {
        defer { relay.cut() }
        switch interruption.moment {
        case .prepared:
            _ = try here.ticket("prepare", "--to", there.uri)
            try hit()
        case .migrating: try playWhileMigrating()
        case .out:
            try moveOut()
            try hit()
        case .arriving: try playWhileArriving()
        }
        switch interruption.end {
        case .nowhere: try expectNowhere()
        case .atSource(let raised): try expectAtSource(raised)
        case .atTarget: try expectAtTarget()
        }
        // Some seconds in which a second one might begin to run.
        pause(milliseconds: 1500)
        stage.expectOneRunner()
    }

    private func moveOut() throws {
        _ = try here.ticket("prepare", "--to", there.uri)
        try here.migrate(to: there.uri)
        ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
    }

    private func hit() throws {
        switch interruption.victim {
        case .sourceSupervisor: here.supervisor.signal(SIGKILL)
        case .sourceEmulator: here.emulator.signal(SIGKILL)
        case .targetSupervisor: there.supervisor.signal(SIGKILL)
        case .targetEmulator: there.emulator.signal(SIGKILL)
        case .sourceDaemon: stage.hosts.first.daemon.kill()
        case .targetDaemon: stage.hosts.second.daemon.kill()
        case .driver: driver?.signal(SIGKILL)
        case .connection: relay.cut()
        }
        for side in [here, there] where isHit(side) {
            _ = try side.supervisor.wait(timeout: 10)
            try eventually(within: 2, every: 5, "the emulator's death") { !side.emulator.exists }
        }
    }

    // Whether this side is dead by that. A target's supervisor doesn't need its daemon yet.
    private func isHit(_ side: MigrationSide) -> Bool {
        switch interruption.victim {
        case .sourceSupervisor, .sourceEmulator: side.place == here.place
        case .sourceDaemon: side.place == here.place && ticket == nil
        case .targetSupervisor, .targetEmulator: side.place == there.place
        case .targetDaemon, .driver, .connection: false
        }
    }

    // MARK: While QEMU migrates, in `run`

    private func playWhileMigrating() throws {
        try here.slowDown()
        let run = try stage.run(here, to: there, "--qmp-uri", relay.uri)
        driver = run
        try eventually(within: 10, every: 5, "the migration being under way: \(run.errors)") {
            try here.monitor.execute("query-migrate")["status"]?.string == "active" && relay.bytes > 4096
        }
        stage.expectWriting()
        try hit()
        if interruption.victim == .targetDaemon { try here.hurry() }
        let outcome = try run.finish(timeout: 30)
        guard interruption.victim != .driver else {
            #expect(outcome.status == .signal(SIGKILL))
            return try here.wait(for: "running")
        }
        guard case .exit(let code) = outcome.status, code != 0 else {
            Issue.record("\(interruption.testDescription): \(outcome)")
            return
        }
        let isLost = interruption.victim.isOfSource
        expectOneLine(
            outcome, code: code,
            naming: [
                "mover was not migrated", "the target is gone",
                isLost ? "it runs nowhere" : "it runs on at the source",
            ])
        _ = try there.supervisor.wait(timeout: 5)
    }

    // MARK: While `in` waits for the target's emulator

    private func playWhileArriving() throws {
        try moveOut()
        there.emulator.signal(SIGSTOP)
        let coming = try stage.scratch.start(try there.cli(["migrate", "in", there.name, "--state", ticket ?? ""]))
        driver = coming
        pause(milliseconds: 300)
        #expect(coming.isRunning)
        try hit()
        // The supervisor hears of its caller's end before its emulator answers: what has begun by then goes on.
        if interruption.victim == .driver { pause(milliseconds: 500) }
        there.emulator.signal(SIGCONT)
        let outcome = try coming.finish(timeout: 30)
        switch interruption.victim {
        case .driver:
            #expect(outcome.status == .signal(SIGKILL))
            #expect(try there.state() == "incoming")
        case .sourceSupervisor, .sourceEmulator, .sourceDaemon:
            try outcome.expecting(.exit(0))
        case .targetSupervisor, .targetEmulator, .targetDaemon, .connection:
            guard case .exit(let code) = outcome.status, code != 0 else {
                Issue.record("\(interruption.testDescription): \(outcome)")
                return
            }
            expectOneLine(outcome, code: code, naming: ["mover"])
        }
    }

    // MARK: Afterwards

    private func callOffTarget() throws {
        if there.supervisor.isRunning {
            try there.leasehold("migrate", "in", there.name, "--cancel").expecting(.exit(0))
            // Its last act was that answer.
            _ = try there.supervisor.wait(timeout: 5)
        } else if interruption.moment != .migrating {
            // Whoever doesn't know asks all the same.
            let nobody = try there.leasehold("migrate", "in", there.name, "--cancel")
            expectOneLine(nobody, code: 66, naming: ["no guest 'mover' runs here"])
        }
        #expect(!there.emulator.exists)
    }

    private func expectAtSource(_ raised: Int) throws {
        try callOffTarget()
        if try here.state() == "migrating" {
            try here.callBack().expecting(.exit(0))
        }
        #expect(try here.state() == "running")
        #expect(try here.version() == version + raised)
        stage.expectWriting()
        if stage.hosts.first.daemon.isRunning {
            #expect(try stage.hosts.holders(of: stage.disk).map(\.host.id) == [1])
        }
        // It may be migrated as if nothing had been.
        #expect(try here.ticket("prepare", "--to", "again")["leases"]?[0]?["state"] == "held")
        try here.callBack().expecting(.exit(0))
        #expect(try here.state() == "running")
    }

    private func expectAtTarget() throws {
        if try there.state() == "incoming" {
            // What may still be there of the source doesn't run.
            stage.expectStandstill(seconds: 0.3)
            try there.leasehold("migrate", "in", there.name, "--state", ticket ?? "").expecting(.exit(0))
        }
        #expect(try there.state() == "running")
        #expect(try there.version() == version + 1)
        stage.expectWriting()
        if here.supervisor.isRunning, stage.hosts.first.daemon.isRunning {
            let refused = try here.callBack()
            expectOneLine(refused, code: 75, naming: ["mover can't go on here", "host2"])
        }
    }

    private func expectNowhere() throws {
        #expect(!here.supervisor.isRunning && !here.emulator.exists)
        try callOffTarget()
        stage.expectStandstill(seconds: 0.3)
    }
}
