import Foundation
import TestSupport
import Testing

/// A sanlock daemon that is stopped: nothing hangs that a person would notice.
@Suite struct SilentDaemonTests {
    private func withStoppedDaemon(_ body: (Station, SanlockDaemon) throws -> Void) throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "silent", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            daemon.stop()
            try body(try Station(daemon, id: 5, leaseDirectory: try scratch.directory("leases"), scratch), daemon)
        }
    }

    private func startWaiting(_ station: Station, _ name: String) throws -> RunningProgram {
        let running = try station.scratch.start(
            try station.supervised(["--name", name, "--disk", "/d"], Probe.command("sleep", "60")))
        try eventually(within: 5, every: 10) {
            FileManager.default.fileExists(atPath: "\(station.runDirectory)/guests/\(name)/control")
        }
        return running
    }

    @Test func aStartIsGivenUpInBoundedTime() throws {
        try withStoppedDaemon { station, _ in
            let refusal = try station.refused(["--disk", "/d"], code: 69, naming: ["does not answer"], within: 20)
            #expect((5...15).contains(refusal.outcome.seconds))
        }
    }

    @Test func aStartThatHangsAnswersAndCanBeEnded() throws {
        try withStoppedDaemon { station, _ in
            for signal in [SIGINT, SIGTERM, SIGKILL] {
                let running = try startWaiting(station, "g")
                let asked = monotonicNanoseconds()
                let status = try station.leasehold("status", "g", "--json").expecting(.exit(0)).json()
                #expect(status["state"] == "acquiring" && status["childPid"] == nil, "\(status)")
                #expect(try station.leasehold("list").expecting(.exit(0)).output.contains("acquiring"))
                expectOneLine(try station.leasehold("child-pid", "g"), code: 69)
                #expect(secondsSince(asked) < 6)
                let sent = monotonicNanoseconds()
                running.signal(signal)
                let outcome = try running.finish(timeout: 5)
                #expect(secondsSince(sent) < 4 && outcome.status == .signal(signal), "\(outcome)")
                if signal == SIGKILL {
                    #expect(outcome.errors == "")
                } else {
                    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
                    #expect(station.runFiles() == [])
                }
            }
            for verb in ["stop", "kill"] {
                let running = try startWaiting(station, verb)
                let asked = monotonicNanoseconds()
                #expect(try station.leasehold(verb, verb).succeeded)
                let outcome = try running.finish(timeout: 5)
                #expect(secondsSince(asked) < 6)
                #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
            }
        }
    }

    @Test func aRunningGuestAnswersAndCanBeKilled() throws {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "silent", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            // At 1 the lockspace would fail if the daemon were stopped for eight seconds.
            let station = try Station(
                daemon, id: 5, leaseDirectory: try scratch.directory("leases"), scratch, settings: ["io_timeout": "2"])
            let guest = try station.start(["--disk", "/a", "--disk", "/b"])
            let child = try #require(
                try guest.status()["childPid"]?.integer.flatMap { pid_t(exactly: $0) })
            daemon.stop()

            let asked = monotonicNanoseconds()
            #expect(try guest.status()["state"] == "running")
            #expect(try station.leasehold("child-pid", "guest").expecting(.exit(0)).output == "\(child)\n")
            #expect(secondsSince(asked) < 6)

            let killed = monotonicNanoseconds()
            let kill = try scratch.start(
                Program(try Products.cli(), ["kill", "guest"], environment: station.environment))
            try eventually(within: 5, every: 1) { !processExists(child) }
            #expect(secondsSince(killed) < 4)
            let outcome = try kill.finish(timeout: 20)
            #expect(outcome.succeeded && outcome.output.contains("aren't known to be free"), "\(outcome)")
            #expect(secondsSince(killed) < 10)
            #expect(try guest.running.finish(timeout: 10).status == .signal(SIGKILL))

            daemon.cont()
            try eventually(within: 5, every: 20) { try daemon.clientStatus().resources.isEmpty }
            let next = try station.start(["--disk", "/a", "--disk", "/b"], named: "next")
            try next.stop()
        }
    }
}
