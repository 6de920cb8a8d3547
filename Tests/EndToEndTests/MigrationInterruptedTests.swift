import Foundation
import TestSupport
import Testing

/// Whatever dies in a migration, whenever: at most one side runs, what is said is one line, and what is left can be ended or
/// brought to the end.
@Suite(.serialized) struct MigrationInterruptedTests {
    @Test(arguments: MigrationInterruption.all.filter { !$0.victim.isDaemon })
    func whateverDiesAtMostOneSideRuns(_ interruption: MigrationInterruption) throws {
        try MigrationStage.with { stage in
            try InterruptedMigration(stage, interruption).play()
        }
    }

    @Test(arguments: MigrationInterruption.all.filter(\.victim.isDaemon))
    func whicheverDaemonDiesAtMostOneSideRuns(_ interruption: MigrationInterruption) throws {
        try withTwoHosts { hosts in
            try MigrationStage.with(hosts) { stage in
                try InterruptedMigration(stage, interruption).play()
            }
        }
    }

    /// In the moment of taking nobody can tell whether it has, or has run: then the source stays stopped.
    @Test(arguments: ["supervisor", "emulator", "command"])
    func diesWhileItTakesItsLeases(victim: String) throws {
        try withTwoHosts { hosts in
            try MigrationStage.with(hosts) { stage in
                let here = try stage.start(on: 0)
                stage.expectWriting()
                let version = try #require(try here.version())
                let there = try stage.start(on: 1, incoming: true)
                _ = try here.ticket("prepare", "--to", there.uri)
                try here.migrate(to: there.uri)
                let ticket = try stage.scratch.write(try here.ticket("out").description, to: "ticket")
                let daemon = try #require(ProcessIdentity(living: hosts.second.daemon.pid))
                daemon.signal(SIGSTOP)
                let coming = try stage.scratch.start(try there.cli(["migrate", "in", there.name, "--state", ticket]))
                try coming.waitUntilItAwaitsAnAnswer()
                switch victim {
                case "supervisor": there.supervisor.signal(SIGKILL)
                case "emulator": there.emulator.signal(SIGKILL)
                default: coming.signal(SIGINT)
                }
                pause(milliseconds: 300)
                daemon.signal(SIGCONT)
                let outcome = try coming.finish(timeout: 15)
                #expect(!outcome.succeeded, "\(outcome)")
                if victim == "command" {
                    // What has begun goes on to its end without it.
                    try there.wait(for: "running")
                    #expect(try there.version() == version + 1)
                    return stage.expectWriting()
                }
                _ = try there.supervisor.wait(timeout: 10)
                try eventually(within: 5, every: 20) { try hosts.holders(of: stage.disk).isEmpty }
                let back = try here.callBack()
                if back.succeeded {
                    #expect(try here.state() == "running")
                    stage.expectWriting()
                } else {
                    expectOneLine(back, code: 75, naming: ["mover can't go on here", "host2"])
                    #expect(try here.state() == "migrating")
                }
            }
        }
    }

    /// Interrupted, each waiting command leaves the guest as it was.
    @Test func aCommandThatWaitsLeavesAllAsItWas() throws {
        try MigrationStage.with { stage in
            let here = try stage.start(on: 0)
            stage.expectWriting()
            let there = try stage.start(on: 1, incoming: true)
            _ = try here.ticket("prepare", "--to", there.uri)
            let version = try #require(try here.version())
            let leaving = try stage.scratch.start(try here.cli(["migrate", "out", here.name]))
            try leaving.waitUntilItAwaitsAnAnswer()
            #expect(leaving.isRunning)
            // Nobody else brings it to an end meanwhile, but for calling it off.
            let second = try here.leasehold("migrate", "out", here.name)
            expectOneLine(second, code: 69, naming: ["still under way"])
            leaving.signal(SIGINT)
            #expect(try leaving.wait() == .signal(SIGINT))
            try here.wait(for: "migrating")
            #expect(try here.version() == version)
            stage.expectWriting()

            // Stopped by somebody, it has not been migrated: nothing is given back.
            let waiting = try stage.scratch.start(try here.cli(["migrate", "out", here.name]))
            try here.monitor.execute("stop")
            pause(milliseconds: 500)
            #expect(waiting.isRunning)
            #expect(try stage.hosts.holders(of: stage.disk).map(\.host.id) == [1])
            try here.monitor.execute("cont")
            // Called off, it goes on.
            try here.callBack().expecting(.exit(0))
            let outcome = try waiting.finish()
            #expect(!outcome.succeeded)
            #expect(try here.state() == "running")
            #expect(try here.version() == version)
            try there.leasehold("migrate", "in", there.name, "--cancel").expecting(.exit(0))
            stage.expectWriting()
        }
    }
}
