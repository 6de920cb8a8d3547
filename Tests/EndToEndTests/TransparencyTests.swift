import Foundation
import TestSupport
import Testing

/// Promise 8: what the guest is given is what a direct start would have given it.
@Suite struct TransparencyTests {
    @Test func guestOfAPlainCallerSeesNoDifference() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference()
    }

    @Test func argumentsArriveAsTheyWereGiven() throws {
        let arguments = [
            "", " ", "a b", "--", "--help", "-h", "--version", "--name", "x", "--disk=/x", "\n", "\t\"'\\$*",
            "e\u{301}", "\u{e9}",
            "\u{1f600}", "=", "-", "@file", String(repeating: "x", count: 100_000), "--",
        ]
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference(arguments: arguments)
    }

    @Test func manyArgumentsAndVariablesArrive() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script = #"printf '%s\n' $# "$@"; env | grep ^MANY_ | sort"#
        var program = Program("/bin/bash", ["-c", script, "bash"] + (0..<20_000).map { "argument\($0)" })
        for number in 0..<5000 { program.environment["MANY_\(number)"] = "value \(number)" }
        let direct = try stage.program(program, through: .direct).run()
        #expect(direct.output.hasPrefix("20000\nargument0\n"))
        for front in Front.supervised {
            // No #expect on both: a failure would print them.
            let outcome = try stage.program(program, through: front).run()
            let isSame = outcome.outputData == direct.outputData
            #expect(isSame, "through \(front)")
            // Milliseconds, where nobody reads them in quadratic time (13 s).
            #expect(outcome.seconds < direct.seconds + 3)
        }
    }

    /// Paths are bytes, and so are arguments; a variable may be anything but NUL.
    @Test func bytesThatAreNoTextArriveAsTheyAre() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let variables = #"ODD=$'\xff\xfe' $'N\xc3'=$'a\xe9'"#
        let script = "exec env -u _ \(variables)" + #" "$@" $'\xff' $'a\xc0\xaf' $'\xed\xa0\x80' $'\xf0\x9f'"#
        for front in Front.supervised {
            func report(_ prefix: [String]) throws -> JSONValue {
                let file = stage.scratch.file("report")
                let command = prefix + [try Products.probe(), "report", file]
                let bash = Program(
                    "bash", ["-c", script, "bash"] + command, environment: try stage.environment(front))
                try bash.run().expecting(.exit(0))
                return try JSONValue(parsing: FileManager.default.contents(atPath: file) ?? Data())
            }
            let (direct, seen) = (try report([]), try report(try stage.prefix(front)))
            #expect(direct["arguments"]?.array?.count == 7)
            #expect(seen["arguments"] == direct["arguments"])
            #expect(seen["environInOrder"] == direct["environInOrder"])
        }
    }

    @Test func environmentComesThroughButForTheServiceManagersSocket() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference {
            $0.inheritsEnvironment = false
            $0.environment = [
                "": "empty name", "EMPTY": "", "LINES": "a\nb", "UNICODE": "ü\u{1f600}", "PATH": "/nowhere", "=": "x",
                "NOTIFY": "kept", "NOTIFY_SOCKET_": "kept", "LD_LIBRARY_PATH": "/nowhere",
                "SWIFT_BACKTRACE": "enable=no",
            ]
        }

        // Nobody listens there, which is not the guest's trouble either.
        for front in Front.supervised {
            var program = try Probe.program("report", stage.scratch.file("report"))
            program.environment["NOTIFY_SOCKET"] = stage.scratch.file("notify")
            let seen = try stage.sight(program, into: stage.scratch.file("report"), through: front)
            let variables = try #require(seen.report["environ"]?.array).compactMap(\.string)
            #expect(!variables.contains { $0.hasPrefix("NOTIFY_SOCKET=") })
            #expect(variables.contains("LEASEHOLD_RUN_DIR=\(stage.runDirectory)"))
        }
    }

    @Test func guestStartsInTheCallersDirectory() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let directory = try stage.scratch.directory("a b\n\u{e9}")
        try stage.expectNoDifference { $0.directory = directory }
    }

    @Test func guestStartsInADirectoryThatWasRemoved() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let script = #"mkdir gone && cd gone && rmdir ../gone && exec env -u _ -u PWD -u OLDPWD "$@""#
        for front in Front.allCases {
            try? FileManager.default.removeItem(atPath: stage.scratch.file("report"))
            let command = try stage.prefix(front) + (try Probe.command("report", stage.scratch.file("report")))
            let outcome = try Program(
                "bash", ["-c", script, "bash"] + command, environment: try stage.environment(front),
                directory: stage.scratch.path
            ).run()
            #expect(outcome.status == .exit(0), "through \(front): \(outcome)")
            let report = FileManager.default.contents(atPath: stage.scratch.file("report")) ?? Data("{}".utf8)
            #expect(try JSONValue(parsing: report)["directory"] == .null, "through \(front)")
        }
    }

    @Test(arguments: [0, 0o027, 0o077, 0o777] as [UInt32])
    func fileModeMaskIsTheCallers(_ mask: UInt32) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference { $0.inheritance.umask = mask }
    }

    @Test func everyResourceLimitIsTheCallers() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        // Soft and hard, none above what any caller may set.
        let limits: [Int32: (Int64, Int64)] = [
            0: (1000, 2000), 1: (1 << 30, 1 << 31), 2: (1 << 31, 1 << 32), 3: (1 << 20, 1 << 22), 4: (0, 0),
            5: (1 << 31, 1 << 31), 6: (5000, 6000), 7: (300, 400), 8: (1 << 16, 1 << 17), 9: (1 << 34, 1 << 35),
            10: (100, 200), 11: (500, 600), 12: (1000, 2000), 13: (0, 0), 14: (0, 0), 15: (1_000_000, 2_000_000),
        ]
        try stage.expectNoDifference {
            $0.inheritance.limits = limits.sorted { $0.key < $1.key }
                .map { Inheritance.Limit(resource: $0.key, soft: $0.value.0, hard: $0.value.1) }
        }
    }

    /// A guest that needs few descriptors runs under a limit that a supervisor can't live with.
    @Test(arguments: [6, 9, 12, 16, 20, 30])
    func guestRunsUnderALowDescriptorLimit(_ soft: Int64) throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference {
            $0.inheritance.limits = [.init(resource: Int32(RLIMIT_NOFILE.rawValue), soft: soft, hard: 4096)]
        }
    }

    @Test func guestRunsWhereNoFileMayGrow() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        var program = Program("/bin/sh", ["-c", "ulimit -f; echo ran"])
        program.inheritance.limits = [.init(resource: Int32(RLIMIT_FSIZE.rawValue), soft: 0, hard: -1)]
        for front in [Front.direct, .supervisor, .run] {
            let outcome = try stage.program(program, through: front).run()
            #expect(outcome.output == "0\nran\n", "through \(front): \(outcome)")
        }
        // Where the supervisor can't have more either, it can't keep its files, says so and leaves nothing.
        program.inheritance.limits = [.init(resource: Int32(RLIMIT_FSIZE.rawValue), soft: 0, hard: 0)]
        for front in [Front.supervisor, .run] {
            let outcome = try stage.program(program, through: front).run()
            #expect(outcome.status == .exit(73) && outcome.output == "")
            #expect(outcome.errors.hasPrefix("leasehold: ") && outcome.errors.filter { $0 == "\n" }.count == 1)
        }
        #expect(stage.guestDirectories == [])
    }

    @Test func schedulingIsTheCallers() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference { $0.inheritance.niceness = 7 }
        try stage.expectNoDifference { $0.inheritance.niceness = -3 }
        try stage.expectNoDifference { $0.inheritance.moreOptions = ["--policy", "3"] }
        try stage.expectNoDifference { $0.inheritance.moreOptions = ["--policy", "5"] }
        try stage.expectNoDifference { $0.inheritance.moreOptions = ["--timer-slack", "123456"] }
        let first = try #require(
            try stage.sight(
                try Probe.program("report", stage.scratch.file("r1")), into: stage.scratch.file("r1"), through: .direct
            ).report["processors"]?.array?.first?.integer)
        try stage.expectNoDifference { $0.inheritance.processors = [first] }
    }

    @Test func inputOutputPriorityIsTheCallers() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        for front in Front.supervised {
            let file = stage.scratch.file("report")
            func priority(_ prefix: [String]) throws -> JSONValue? {
                let command = ["-c", "2", "-n", "6"] + prefix + [try Products.probe(), "report", file]
                try Program("ionice", command, environment: try stage.environment(front)).run().expecting(.exit(0))
                return try JSONValue(parsing: FileManager.default.contents(atPath: file) ?? Data())["ioPriority"]
            }
            let direct = try priority([])
            #expect(direct == .integer(2 << 13 | 6))
            #expect(try priority(try stage.prefix(front)) == direct)
        }
    }

    @Test func outOfMemoryScoreAndPersonalityAreTheCallers() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        try stage.expectNoDifference { $0.inheritance.outOfMemoryScoreAdjustment = 321 }
        // ADDR_NO_RANDOMIZE.
        try stage.expectNoDifference { $0.inheritance.moreOptions = ["--personality", "0x40000"] }
    }

    @Test func capabilitiesAndNoNewPrivilegesAreTheCallers() throws {
        let stage = try FrontStage()
        defer { stage.end() }
        let rights = [
            ["--no-new-privs"], ["--bounding-set", "-sys_admin,-net_admin"],
            ["--inh-caps", "+net_raw,+chown", "--ambient-caps", "+net_raw"], ["--securebits", "+noroot"],
        ]
        for options in rights {
            for front in Front.supervised {
                let file = stage.scratch.file("report")
                func report(_ prefix: [String]) throws -> JSONValue {
                    try? FileManager.default.removeItem(atPath: file)
                    let command = options + prefix + [try Products.probe(), "report", file]
                    let program = Program("setpriv", command, environment: try stage.environment(front))
                    try program.run().expecting(.exit(0))
                    return try JSONValue(parsing: FileManager.default.contents(atPath: file) ?? Data())
                }
                let (direct, seen) = (try report([]), try report(try stage.prefix(front)))
                for key in [
                    "capInheritable", "capPermitted", "capEffective", "capBounding", "capAmbient", "noNewPrivs",
                    "secureBits", "keepCapabilities", "dumpable", "user", "group", "groups", "seccomp",
                ] {
                    #expect(direct[key] != nil)
                    #expect(seen[key] == direct[key], "\(key) through \(front) with \(options)")
                }
            }
        }
    }
}
