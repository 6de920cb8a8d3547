import ControlProtocol
import Foundation
import GuestDirectory
import Platform
import TestSupport
import Testing

/// What is taken for a killed supervisor's leftover, and what is not. The killing itself is shown end to end.
@Suite struct LeftoverTests {
    private typealias Identity = Platform.ProcessIdentity

    private func state(of child: Identity) -> GuestState {
        let status = WireStatus(
            name: "g", uuid: "u", supervisorPid: 1, childPid: child.pid, state: .running, since: "s", command: ["x"],
            driver: "nop", onLeaseLoss: "poweroff", watchdog: false)
        return GuestState(status: status, child: child, leaseSocket: nil, events: [])
    }

    private func withGuest(_ body: (RunDirectory, GuestPaths, Identity) throws -> Void) throws {
        try withScratch { scratch in
            let directory = RunDirectory(configured: scratch.path)
            guard let name = GuestName(given: "g") else { throw TestFailure("g is no name") }
            let paths = directory.guest(name)
            try Files.makeDirectories(paths.directory, mode: 0o700)
            try Files.makeDirectory("\(scratch.path)/exits", mode: 0o755)
            let program = try scratch.start(Program("sleep", ["60"]))
            guard let child = Identity(runningAs: program.pid) else { throw TestFailure("sleep has ended") }
            try paths.write(state(of: child))
            try body(directory, paths, child)
        }
    }

    @Test func guestWithoutASupervisorIsEndedWithARecord() throws {
        try withGuest { directory, paths, child in
            let found = Leftover.endAll(in: directory)
            #expect(found.map(\.name) == ["g"] && found.allSatisfy { $0.isEnded && $0.hadProcesses })
            #expect(!child.isAlive)
            #expect(!FileManager.default.fileExists(atPath: paths.directory))
            #expect(FileManager.default.fileExists(atPath: "\(directory.exits)/g.json"))
        }
    }

    @Test func processesOfAnEarlierBootAreOthers() throws {
        try withGuest { directory, paths, child in
            let text = String(decoding: try Files.read(paths.state, limit: 10_000), as: UTF8.self)
            let boot = try #require(Boot.id)
            try Files.writeWhole(Array(text.replacingOccurrences(of: boot, with: "another").utf8), to: paths.state)
            #expect(Leftover.endAll(in: directory).allSatisfy { !$0.hadProcesses })
            #expect(child.isAlive)
        }
    }

    @Test func whatCannotBeToldCountsAsLiving() throws {
        try withGuest { directory, paths, child in
            // A link that leads nowhere but to itself: the open fails, and not for want of a file.
            try FileManager.default.createSymbolicLink(
                atPath: paths.supervisorPid, withDestinationPath: paths.supervisorPid)
            #expect(LifeLock.isHeld(paths.supervisorPid))
            #expect(Leftover.endAll(in: directory).isEmpty)
            #expect(child.isAlive)
        }
    }
}
