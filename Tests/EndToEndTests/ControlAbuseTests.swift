import Foundation
import TestSupport
import Testing

/// Clients of the control socket that are broken or mean: guest and supervisor go on and answer others.
@Suite struct ControlAbuseTests {
    /// One connection, closed with its owner.
    private final class Client {
        private let descriptor: Int32

        init(_ guest: Guest) throws {
            let path = "\(guest.station.runDirectory)/guests/\(guest.name)/control"
            descriptor = try eventuallyFound(within: 5, "a connection") { try connectUnixSocket(path) }
        }

        deinit { close(descriptor) }

        /// Sends what goes without blocking for more than a second. False where the supervisor has hung up.
        @discardableResult
        func send(_ data: Data) -> Bool {
            var done = 0
            while done < data.count {
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&entry, 1, 1000) > 0 else { return true }
                let sent = data[(data.startIndex + done)...].withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                }
                guard sent > 0 else { return errno == EAGAIN }
                done += sent
            }
            return true
        }

        func send(_ text: String) { send(Data(text.utf8)) }

        func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

        /// The next message; nil where the supervisor hangs up instead.
        func answer(within seconds: Double = 3) throws -> JSONValue? {
            var received = Data()
            let start = monotonicNanoseconds()
            while secondsSince(start) < seconds {
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                guard poll(&entry, 1, 100) > 0 else { continue }
                var byte: UInt8 = 0
                guard recv(descriptor, &byte, 1, 0) == 1 else { return nil }
                if byte == 0 { return try JSONValue(parsing: received) }
                received.append(byte)
            }
            throw TestFailure("no answer within \(seconds) s, but: \(String(decoding: received, as: UTF8.self))")
        }
    }

    private static let getStatus = "{\"method\":\"io.leasehold.Supervisor.GetStatus\"}\0"

    private func withGuest(_ limits: [Inheritance.Limit] = [], _ body: (Guest) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disk = try hosts.disk()
            var program = try station.supervised(["--name", "guest", "--disk", disk], Probe.command("sleep", "60"))
            program.inheritance.limits = limits
            let guest = Guest(running: try scratch.start(program), name: "guest", station: station)
            // The record comes before the guest, and the last of the supervisor's threads after it.
            try eventually(within: 30, every: 10, "it runs and is watched") {
                guard guest.running.isRunning else { throw TestFailure(guest.running.errors) }
                guard let status = try? guest.status() else { return false }
                return status["state"] == "running" && status["lockspaces"]?.array?.isEmpty == false
            }
            try body(guest)
            try expectWell(guest)
            let child = try #require(try guest.status()["childPid"]?.integer.flatMap { pid_t(exactly: $0) })
            #expect(processExists(child))
            try guest.stop()
            #expect(try hosts.holders(of: disk).isEmpty)
        }
    }

    /// The guest runs under its lease, and others are answered at once.
    private func expectWell(_ guest: Guest, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let asked = monotonicNanoseconds()
        let state = try guest.status()["state"]?.string
        #expect(state == "running" && secondsSince(asked) < 2, sourceLocation: sourceLocation)
        #expect(try guest.leases().count == 1, sourceLocation: sourceLocation)
    }

    @Test func garbageClosesItsConnectionOnly() throws {
        try withGuest { guest in
            let garbage = [
                "\0", "{}\0", "[]\0", "null\0", "\"x\"\0", "5\0", "{\0", "{\"method\":5}\0", "{\"method\":null}\0",
                "x\0",
                "{\"method\":\"a.b\",\"more\":5}\0", "GET / HTTP/1.1\r\n\r\n\0",
                String(repeating: "[", count: 100_000) + "\0",
                String(repeating: "{\"a\":", count: 50_000) + "\0", "{\"method\":\"\u{0}",
                String(repeating: "\0", count: 1 << 20),
            ]
            for text in garbage {
                let client = try Client(guest)
                client.send(text)
                #expect(try client.answer() == nil, "\(text.prefix(60))")
            }
            let client = try Client(guest)
            client.send(Data([0xff, 0xfe, 0x00]))
            #expect(try client.answer() == nil)
            let endless = try Client(guest)
            for _ in 0..<160 where endless.send(Data(repeating: 0x78, count: 65536)) {}
            #expect(try endless.answer() == nil)
        }
    }

    @Test func randomBytesDoNoHarm() throws {
        let seed = UInt64.random(in: 0...(.max))
        var generator = Seeded(state: seed)
        print("randomBytesDoNoHarm: seed \(seed)")
        let words = [
            "{", "}", "[", "]", "\"", ":", ",", "\0", "\\u0000", "\\ud800", "1e999", "-0", "null", "true", "method",
            "parameters",
            "io.leasehold.Supervisor.", "GetStatus", "Shutdoun", "Monitor", "more", "oneway", " ", "\n",
        ]
        try withGuest { guest in
            for round in 0..<300 {
                let client = try Client(guest)
                if round % 2 == 0 {
                    client.send(
                        Data(
                            (0..<Int.random(in: 1...2000, using: &generator)).map { _ in
                                UInt8.random(in: 0...255, using: &generator)
                            }))
                } else {
                    let count = Int.random(in: 1...60, using: &generator)
                    client.send((0..<count).map { _ in words.randomElement(using: &generator) ?? "" }.joined())
                }
                if round % 50 == 0 { try expectWell(guest) }
            }
        }
    }

    @Test func wrongCallsAreRefusedAndDoNothing() throws {
        try withGuest { guest in
            let calls: [(String, String)] = [
                ("\"method\":\"io.leasehold.Supervisor.Frob\"", "MethodNotFound"),
                ("\"method\":\"io.nowhere.Frob\"", "InterfaceNotFound"), ("\"method\":\"Frob\"", "InvalidParameter"),
                (
                    "\"method\":\"io.leasehold.Supervisor.Shutdown\",\"parameters\":{\"timeoutSeconds\":-1}",
                    "InvalidParameter"
                ),
                (
                    "\"method\":\"io.leasehold.Supervisor.Shutdown\",\"parameters\":{\"timeoutSeconds\":\"1\"}",
                    "InvalidParameter"
                ),
                ("\"method\":\"io.leasehold.Supervisor.Shutdown\",\"parameters\":{\"timeout\":1}", "InvalidParameter"),
                ("\"method\":\"io.leasehold.Supervisor.Kill\",\"parameters\":{\"now\":true}", "InvalidParameter"),
                ("\"method\":\"io.leasehold.Supervisor.GetChild\",\"parameters\":{\"x\":1}", "InvalidParameter"),
            ]
            let client = try Client(guest)
            for (call, error) in calls {
                client.send("{\(call)}\0")
                #expect(try client.answer()?["error"] == .string("org.varlink.service.\(error)"), "\(call)")
            }
            // The same connection still serves.
            client.send(Self.getStatus)
            #expect(try client.answer()?["parameters"]?["status"]?["state"] == "running")
        }
    }

    @Test func messagesInPiecesAndInOnePieceAreAnsweredInOrder() throws {
        try withGuest { guest in
            let client = try Client(guest)
            for byte in Data(Self.getStatus.utf8) { client.send(Data([byte])) }
            #expect(try client.answer()?["error"] == nil)
            let child = "{\"method\":\"io.leasehold.Supervisor.GetChild\"}\0"
            client.send(
                child + Self.getStatus + child + "{\"method\":\"io.leasehold.Supervisor.GetStatus\",\"oneway\":true}\0"
                    + child)
            #expect(try client.answer()?["parameters"]?["pid"] != nil)
            #expect(try client.answer()?["parameters"]?["status"] != nil)
            for _ in 0..<2 { #expect(try client.answer()?["parameters"]?["pid"] != nil) }
            // One that ends its side still gets the answer.
            client.send(child)
            client.endWriting()
            #expect(try client.answer()?["parameters"]?["pid"] != nil)
            #expect(try client.answer() == nil)
        }
    }

    @Test func halfOpenAndVanishingClientsAreForgotten() throws {
        try withGuest { guest in
            let before = try openDescriptors(guest)
            for round in 0..<1000 {
                let client = try Client(guest)
                switch round % 4 {
                case 0: break
                case 1: client.send("{\"method\":\"io.leasehold")
                case 2: client.send(Self.getStatus)
                default:
                    client.send("{\"method\":\"io.leasehold.Supervisor.Monitor\",\"more\":true}\0{")
                    client.endWriting()
                }
            }
            // The supervisor's threads begin a moment after the guest, with a descriptor each.
            try eventually(within: 5, every: 20, "all clients gone") { try openDescriptors(guest) <= before + 2 }
        }
    }

    @Test func aThousandIdleClientsLeaveRoomForOthers() throws {
        try withGuest { guest in
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            limit.rlim_cur = min(limit.rlim_max, 65536)
            #expect(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            let idle = try (0..<1000).map { index in
                let client = try Client(guest)
                if index % 2 == 0 { client.send("{\"method\":") }
                return client
            }
            for _ in 0..<3 { try expectWell(guest) }
            let used = try processorSeconds(guest)
            pause(milliseconds: 300)
            #expect(try processorSeconds(guest) - used < 0.1, "the supervisor is busy with idle clients")
            for client in idle.suffix(3) {
                client.send(client === idle[998] ? "" : "\0")
            }
            withExtendedLifetime(idle) {}
        }
    }

    @Test func moreClientsThanDescriptorsKeepNobodyBusy() throws {
        let limit = Inheritance.Limit(resource: Int32(RLIMIT_NOFILE.rawValue), soft: 48, hard: 48)
        try withGuest([limit]) { guest in
            do {
                let idle = try (0..<100).map { _ in try Client(guest) }
                pause(milliseconds: 300)
                let used = try processorSeconds(guest)
                pause(milliseconds: 500)
                #expect(try processorSeconds(guest) - used < 0.2, "spinning")
                #expect(guest.running.data(.errors).count < 10_000)
                #expect(guest.running.isRunning)
                withExtendedLifetime(idle) {}
            }
            try expectWell(guest)
        }
    }

    @Test func aClientThatNeverReadsIsDroppedAndCostsLittle() throws {
        try withGuest { guest in
            let monitor = try Client(guest)
            monitor.send("{\"method\":\"io.leasehold.Supervisor.Monitor\",\"more\":true}\0")
            let before = try residentKibibytes(guest)
            let greedy = try Client(guest)
            let many = Data(String(repeating: Self.getStatus, count: 1000).utf8)
            var isThere = true
            for _ in 0..<40 where isThere {
                isThere = greedy.send(many)
                try expectWell(guest)
            }
            let after = try residentKibibytes(guest)
            #expect(after - before < 16 << 10, "\(before) KiB, then \(after) KiB")
            let child = try #require(try guest.status()["childPid"]?.integer)
            let sent = monotonicNanoseconds()
            #expect(try guest.station.leasehold("child-pid", "guest").output == "\(child)\n")
            #expect(secondsSince(sent) < 2)
            withExtendedLifetime((monitor, greedy)) {}
        }
    }

    // MARK: What it costs

    private func openDescriptors(_ guest: Guest) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(guest.pid)/fd").count
    }

    private func processorSeconds(_ guest: Guest) throws -> Double {
        let text = String(decoding: readProcessFile(guest.pid, "stat") ?? Data(), as: UTF8.self)
        let fields = (text.split(separator: ")").last ?? "").split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            throw TestFailure("no processor time of \(guest.running)")
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private func residentKibibytes(_ guest: Guest) throws -> Int {
        let text = String(decoding: readProcessFile(guest.pid, "status") ?? Data(), as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        guard let number = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
            throw TestFailure("no memory size of \(guest.running)")
        }
        return number
    }
}

/// A generator whose run can be repeated (SplitMix64).
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
