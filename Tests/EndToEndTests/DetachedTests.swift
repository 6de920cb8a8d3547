import Foundation
import Synchronization
import TestSupport
import Testing

/// Supervisors that were detached from their callers. One that goes on as a fork of a Swift program may hang for good, as its
/// runtime's locks are those of another thread: so it executes itself anew.
@Suite struct DetachedTests {
    private static let guests = 40

    @Test func everyDetachedSupervisorAnswers() throws {
        let hosts = try TwoHosts.shared
        let scratch = try Scratch()
        defer { scratch.remove() }
        let station = try Station(on: hosts.first, of: hosts, scratch)
        let disks = try (0..<Self.guests).map { _ in try hosts.disk() }
        let failures = Mutex<[String]>([])
        // At once, so that each one's threads get in each other's way.
        DispatchQueue.concurrentPerform(iterations: Self.guests) { index in
            do {
                let outcome = try station.supervised(
                    ["--name", "g\(index)", "--detach", "--no-auto-disks", "--disk", disks[index]],
                    try Probe.command("sleep", "120")
                ).run(timeout: 60)
                if !outcome.succeeded { failures.withLock { $0.append("\(outcome)") } }
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        #expect(failures.withLock { $0 } == [])
        let list = try station.leasehold("list", "--json", timeout: 60)
        #expect(list.succeeded, "\(list)")
        let listed: JSONValue = try list.json()
        #expect(listed.array?.count == Self.guests)
        for index in 0..<Self.guests {
            let stopped = try station.leasehold("kill", "g\(index)")
            #expect(stopped.succeeded, "\(stopped)")
        }
        #expect(station.runFiles() == Set((0..<Self.guests).map { "exits/g\($0).json" }))
    }

    @Test func itIsAProgramOfItsOwnByTheSameName() throws {
        let hosts = try TwoHosts.shared
        let scratch = try Scratch()
        defer { scratch.remove() }
        let station = try Station(on: hosts.first, of: hosts, scratch)
        let ready = try station.supervised(
            ["--name", "guest", "--detach", "--driver", "nop", "--no-auto-disks"], try Probe.command("sleep", "60")
        ).run(timeout: 20).expecting(.exit(0)).json()
        let pid = try #require(ready["supervisorPid"]?.integer)
        func text(_ name: String) -> String {
            String(decoding: FileManager.default.contents(atPath: "/proc/\(pid)/\(name)") ?? Data(), as: UTF8.self)
        }
        #expect(text("comm") == "leasehold-super\n")
        #expect(text("cmdline").contains("--behind-front\0"))
        #expect(try station.leasehold("kill", "guest").succeeded)
    }
}
