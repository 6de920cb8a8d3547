import Foundation
import TestSupport
import Testing

/// A sanlock daemon that takes connections and answers nothing: libsanlock would wait for it for good.
@Suite struct SilentDaemonCommandTests {
    private static let commands = [
        ["lockspace", "status"], ["lockspace", "join"], ["lockspace", "leave"], ["lease", "list"],
        ["lease", "show", "DISK"],
        ["lease", "cleanup"], ["lease", "cleanup", "--dry-run"], ["lease", "grow", "DISK"],
        ["lease", "repair", "DISK", "--i-know-nobody-uses-it"], ["request", "DISK"],
    ]

    @Test func noCommandWaitsForItForGood() throws {
        try withTwoHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            let disk = try hosts.disk()
            #expect(try station.attempt(disk).status == .exit(0))
            let daemon = try #require(ProcessIdentity(living: hosts.first.daemon.pid))
            daemon.signal(SIGSTOP)
            defer { daemon.signal(SIGCONT) }
            // A few at a time: more don't find a place in the queue of its socket, and wait for that.
            sideBySide(Self.commands, width: 3) { words in
                let words = words.map { $0 == "DISK" ? disk : $0 }
                let program = Program(
                    (try? Products.cli()) ?? "", words, environment: station.environment)
                let outcome = try? program.run(timeout: 20)
                #expect(outcome?.status == .exit(69), "\(words): \(outcome.map { "\($0)" } ?? "still runs")")
                #expect(outcome?.errors.contains("sanlock daemon does not answer") == true, "\(words)")
            }
        }
    }
}
