import Foundation
import TestSupport
import Testing

extension CleanupTests {
    /// Clean-ups that end in the middle: the next start and the next clean-up succeed.
    @Suite(.serialized) struct Kills {
        /// Looks at the directory that a killed clean-up left.
        private func expectAllWell(
            _ stage: CleanupStage, _ disks: [String], after what: String,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let stations = [stage.first, stage.second].shuffled()
            for (station, disk) in zip(stations, disks) {
                let outcome = try station.supervised(["--name", "next", "--disk", disk], Probe.command("exit", "0"))
                    .run()
                #expect(
                    outcome.status == .exit(0), "the start after \(what): \(outcome)", sourceLocation: sourceLocation)
            }
            // What the killed one held is given back by its daemon some moments later, and in use until then.
            var outcome = try stations[0].leasehold("lease", "cleanup", "--json")
            _ = try? eventually(within: 5, every: 50) {
                if try stage.leases() == [] { return true }
                outcome = try stations[0].leasehold("lease", "cleanup", "--json").expecting(.exit(0))
                return false
            }
            #expect(
                outcome.status == .exit(0), "the clean-up after \(what): \(outcome)", sourceLocation: sourceLocation)
            #expect(try stage.leases() == [], "left after \(what): \(outcome)", sourceLocation: sourceLocation)
        }

        @Test func afterACleanUpKilledAtAnyCallTheNextStartAndCleanUpSucceed() throws {
            try CleanupStage.shared { stage in
                let hosts = stage.hosts
                _ = try stage.freeDisks(3)
                let trace = hosts.scratch.file("trace")
                try stage.traced(["-o", trace, "-s", "256"]).run().expecting(.exit(0))
                // From the first look at the directory on; before, there is nothing to break.
                let threads = try SystemCall.parse(trace).values
                let all = Set(threads.flatMap { $0.drop { !$0.line.contains(hosts.leaseDirectory) } })
                    .sorted { ($0.name, $0.count) < ($1.name, $1.count) }
                #expect(all.contains { $0.name == "unlink" } && all.count > 30)
                let inMiddle = all.filter {
                    ["link", "unlink", "sendto", "recvfrom", "fcntl", "rename"].contains($0.name)
                }
                let chosen = Rounds.wanted < 100 ? Rounds.some(inMiddle, sample: 12) : all
                var kills = 0
                for call in chosen {
                    let disks = try stage.freeDisks(3)
                    let options = [
                        "-o", "/dev/null", "-e", "trace=\(call.name)", "-e",
                        "inject=\(call.name):signal=SIGKILL:when=\(call.count)",
                    ]
                    let outcome = try stage.traced(options).run()
                    if outcome.status == .signal(SIGKILL) { kills += 1 } else { try outcome.expecting(.exit(0)) }
                    try expectAllWell(stage, disks, after: call.description)
                }
                #expect(kills * 4 >= chosen.count * 3, "only \(kills) of \(chosen.count) were killed")
            }
        }

        @Test func afterACleanUpKilledAtSomeMomentTheNextStartAndCleanUpSucceed() throws {
            try CleanupStage.shared { stage in
                let hosts = stage.hosts
                for round in 0..<max(5, Rounds.wanted) {
                    let disks = try stage.freeDisks(12)
                    let running = try hosts.scratch.start(
                        Program(try Products.cli(), ["lease", "cleanup"], environment: stage.first.environment))
                    let milliseconds = Double.random(in: 4...30)
                    pause(milliseconds: milliseconds)
                    running.signal(SIGKILL)
                    try running.wait()
                    try expectAllWell(stage, disks.shuffled(), after: "round \(round), \(milliseconds) ms")
                }
            }
        }

        @Test func whatAKilledCleanUpLeavesAsideIsInNobodysWay() throws {
            try CleanupStage.shared { stage in
                let hosts = stage.hosts
                let disks = try stage.freeDisks(2)
                func links() throws -> Set<String> {
                    let names = try FileManager.default.contentsOfDirectory(
                        atPath: "\(hosts.leaseDirectory)/.leasehold")
                    return Set(names.filter { $0.hasPrefix("clean.") })
                }
                let before = try links()
                let options = ["-o", "/dev/null", "-e", "trace=unlink", "-e", "inject=unlink:signal=SIGKILL:when=1"]
                try stage.traced(options).run().expecting(.signal(SIGKILL))
                #expect(try links().subtracting(before).count == 2)
                let guest = try stage.second.start(disks.flatMap { ["--disk", $0] })
                #expect(try stage.cleanUp() == CleanupCounts(inUse: 2))
                try guest.stop()
                #expect(try stage.cleanUp() == CleanupCounts(removed: 2))
            }
        }

        @Test func aCleanUpWhoseDaemonEndedRemovesNothingMore() throws {
            try withTwoHosts { hosts in
                let stage = try CleanupStage(hosts)
                let disk = try stage.freeDisks(1)[0]
                let before = FileSight(try hosts.leasePath(disk))
                // Held up as soon as it has the lease.
                let running = try hosts.scratch.start(
                    try stage.traced([
                        "-o", "/dev/null", "-e", "trace=recvfrom", "-e", "inject=recvfrom:delay_exit=3000000",
                    ]))
                try eventually(within: 20, every: 5, "the clean-up having the lease") {
                    guard running.isRunning else { throw TestFailure("\(running): \(running.output)\(running.errors)") }
                    return try hosts.first.daemon.clientStatus().resources.contains { $0.remarks.isEmpty }
                }
                hosts.first.daemon.kill()
                let outcome = try running.finish(timeout: 60)
                #expect(outcome.status == .exit(73), "\(outcome)")
                #expect(try CleanupCounts(outcome) == CleanupCounts(failed: 1))
                #expect(FileSight(try hosts.leasePath(disk)) == before)
            }
        }
    }
}
