import DomainLock
import Foundation
import LockManager
import TestSupport
import Testing

/// A management program that is killed at any moment finds all guests again, and disturbs none.
@Suite struct ReattachTests {
    private static let guests = 100
    private static let leased = 20
    private static let kills = 20
    private static let early = 6

    @Test func aHundredGuestsOutliveTheProgramThatIsKilledTwentyTimes() throws {
        var generator = Randomness(seed: UInt64.random(in: 0...(.max)))
        try withScratch { scratch in
            let stage = try Stage("sanlock", scratch)
            for number in 1...Self.leased { try scratch.disk("disk-\(number)") }
            var known: [String: pid_t] = [:]
            var last: RunningProgram?
            // Some of the kills come while it is still starting guests.
            for round in 1...Self.kills + 1 {
                let program = try scratch.start(try program(stage))
                if round == Self.early { try program.waitForOutput("all \(Self.guests)", timeout: 300) }
                last = program
                if round > Self.kills { break }
                pause(milliseconds: Double(generator.next() % 1500))
                #expect(program.isRunning, "seed \(generator.seed): it ended by itself: \(program.errors)")
                program.signal(SIGKILL)
                try program.wait()
                try merge(program.output, into: &known, generator.seed)
            }
            try last?.waitForOutput("all \(Self.guests)", timeout: 60)
            try merge(last?.output ?? "", into: &known, generator.seed)
            last?.signal(SIGKILL)
            try last?.wait()
            // Whoever is found once is found always, under one pid, and is there now.
            #expect(known.count == Self.guests, "seed \(generator.seed)")
            let guests = try stage.plugin.guests()
            #expect(guests.count == Self.guests, "seed \(generator.seed)")
            for guest in guests {
                let status = try #require(guest.status)
                #expect(status.state == .running && guest.silence == nil)
                #expect(known[guest.name] == nil || known[guest.name] == status.childPid, "\(guest.name)")
                #expect(ProcessIdentity(living: try #require(status.childPid)) != nil)
                #expect(status.leases.count == (Int(guest.name.dropFirst(6)).map { $0 <= Self.leased } == true ? 1 : 0))
            }
            for guest in try DomainLock.attachAll(stage.plugin) { try guest.manager.kill() }
            #expect(try stage.plugin.guests().isEmpty)
        }
    }

    private func program(_ stage: Stage) throws -> Program {
        Program(
            try Products.find("ManagingProgram", testFolderFirst: true),
            [
                stage.place.configuration, try Products.supervisor(), "\(Self.guests)", "\(Self.leased)", "--",
                "/bin/sleep",
                "600",
            ], environment: stage.place.environment)
    }

    // What a killed program wrote may end in the middle of a line.
    private func merge(_ output: String, into known: inout [String: pid_t], _ seed: UInt64) throws {
        for line in output.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ")
            guard words.count == 4, words[0] == "found", let pid = pid_t(words[2]) else { continue }
            let name = String(words[1])
            #expect(known[name] == nil || known[name] == pid, "seed \(seed): \(name) is another process")
            known[name] = pid
        }
    }
}

/// Numbers that a seed tells.
private struct Randomness {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
}
