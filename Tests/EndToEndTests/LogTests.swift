import Foundation
import Testing
import TestSupport

/// The supervisor's log.
@Suite struct LogTests {
    private static let life = ["registered", "acquired", "started", "exited", "released"]

    @Test func anInformativeLogHasOneLineAnEvent() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let command = ["sh", "-c", "sleep 0.3; exit 5"]
            let options = ["--log-level", "info"]
            let text = try desk.supervised("texty", options: options, disks: [try hosts.disk()], command: command).run()
            let lines = text.errors.split(separator: "\n").map(String.init)
            let form = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z (info|warning) leasehold texty: .+/
            for line in lines { #expect(line.wholeMatch(of: form) != nil, "\(line)") }
            let informing = lines.filter { $0.contains(" info ") }
            #expect(informing.count == Self.life.count)
            for (line, event) in zip(informing, Self.life) { #expect(line.contains(": \(event)"), "\(line)") }

            let json = try desk.supervised(
                "jason", options: options + ["--log-format", "json"], disks: [try hosts.disk()], command: command
            ).run()
            let objects = try EventTests.parse(json.errors)
            #expect(objects.filter { $0["level"] == "info" }.compactMap { $0["message"]?.string } == Self.life)
            for object in objects {
                #expect(object["guest"] == "jason")
                #expect(object["time"]?.string?.hasSuffix("Z") == true)
            }
            let exited = try #require(objects.first { $0["message"] == "exited" })
            #expect(exited["code"] == "5" && exited["reason"] == "exited")
        }
    }

    @Test func aLogFileTakesItAll() throws {
        try ControlDesk.with { desk in
            let file = try desk.scratch.write("before\n", to: "log")
            let options = ["--log-level", "info", "--log-format", "json", "--log-file", file]
            for name in ["one", "two"] {
                let outcome = try desk.supervised(name, options: options, command: ["true"]).run()
                #expect(outcome.status == .exit(0) && outcome.errors == "")
            }
            let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(String.init)
            #expect(lines.first == "before")
            let objects = try lines.dropFirst().map { try JSONValue(parsing: $0) }
            let told = objects.filter { $0["level"] == "info" }
            let names = Self.life.map { _ in "one" } + Self.life.map { _ in "two" }
            #expect(told.compactMap { $0["guest"]?.string } == names)
            let nowhere = try desk.supervised(
                "three", options: ["--log-file", desk.scratch.path], command: ["true"]
            ).run()
            #expect(nowhere.status == .exit(73) && nowhere.errors.split(separator: "\n").count == 1, "\(nowhere)")
        }
    }

    @Test func levelsLeaveOutWhatIsBelow() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            var counts: [String: Int] = [:]
            for level in ["trace", "debug", "info", "notice", "warning", "error", "critical"] {
                let disk = try hosts.disk()
                let program = try desk.supervised(
                    level, options: ["--log-level", level, "--log-format", "json"], disks: [disk],
                    command: ["sleep", "0.3"])
                let lines = try EventTests.parse(try program.run().errors)
                counts[level] = lines.count
                if level == "warning" { #expect(lines.allSatisfy { $0["level"] == "warning" } && !lines.isEmpty) }
            }
            #expect(counts["error"] == 0 && counts["critical"] == 0)
            #expect(counts["warning"] == counts["notice"])
            #expect((counts["info"] ?? 0) == (counts["warning"] ?? 0) + Self.life.count)
            #expect((counts["trace"] ?? 0) >= (counts["info"] ?? 0))
            let wrong = try desk.supervised("wrong", options: ["--log-level", "loud"], command: ["true"]).run()
            #expect(wrong.status == .exit(64))
        }
    }

    /// These daemons run without a watchdog, and who looks is told so.
    @Test func aMissingWatchdogIsToldInStatusAndLog() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let guest = try desk.start("unguarded", disks: [try hosts.disk()])
            try guest.supervisor.waitForOutput("watchdog", in: .errors)
            #expect(guest.supervisor.errors.components(separatedBy: "watchdog").count == 2)
            #expect(try desk.json("status", "unguarded", "--json")["watchdog"] == false)
            let line = try desk.leasehold("status", "unguarded").output.split(separator: "\n").first {
                $0.hasPrefix("Watchdog")
            }
            #expect(line?.contains("off") == true)
        }
    }

    @Test func aGuestWithoutALeaseIsWarnedOfOnce() throws {
        try ControlDesk.with { desk in
            func run(_ options: [String]) throws -> String {
                let arguments = options + ["--", "sleep", "0.3"]
                return try desk.program(try Products.supervisor(), arguments).run().expecting(.exit(0)).errors
            }
            let warnings = try run([]).split(separator: "\n").filter { $0.contains("without a lease") }
            #expect(warnings.count == 1)
            #expect(try !run(["--no-auto-disks"]).contains("without a lease"))
            #expect(try !run(["--readonly-disk", "/x"]).contains("without a lease"))
        }
    }

    /// A name may hold anything, a line of the log stays a line.
    @Test func aStrangeNameBreaksNoLine() throws {
        try ControlDesk.with { desk in
            let command = QEMU.command(more: ["-name", "a\nb\u{1b}[31m"])
            let supervisor = try desk.scratch.start(
                desk.program(try Products.supervisor(), ["--driver", "nop", "--log-level", "info", "--"] + command))
            try supervisor.waitForOutput("started", in: .errors)
            supervisor.signal(SIGTERM)
            let errors = try supervisor.finish(timeout: 10).errors
            let lines = errors.split(separator: "\n")
            #expect(lines.count == Self.life.count, "\(lines)")
            #expect(!errors.contains("\u{1b}"))
        }
    }
}
