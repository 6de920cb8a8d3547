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
            let runs = try Self.commands.map { words in
                let words = words.map { $0 == "DISK" ? disk : $0 }
                let program = Program(try Products.cli(), words, environment: station.environment)
                return (words, try hosts.scratch.start(program))
            }
            for (words, run) in runs {
                let outcome = try run.finish(timeout: 20)
                #expect(outcome.status == .exit(69), "\(words): \(outcome)")
                expectOneLine(outcome, code: 69, naming: ["sanlock daemon does not answer"])
            }
        }
    }
}
