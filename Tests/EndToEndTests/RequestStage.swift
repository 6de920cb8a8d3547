import Foundation
import TestSupport
import Testing

/// Two stations of a pair of hosts.
struct RequestStage {
    let hosts: TwoHosts
    let scratch: Scratch
    /// Host 1, which asks.
    let here: Station
    /// Host 2, whose guests are asked.
    let there: Station

    func events(of guest: Guest) throws -> RunningProgram {
        let events = try scratch.start(
            Program(try Products.cli(), ["events", guest.name], environment: guest.station.environment))
        // It is told what happens from now on.
        pause(milliseconds: 700)
        return events
    }

    /// The details of `requested` that a follower was told.
    func requests(in events: RunningProgram) throws -> [JSONValue] {
        try events.output.split(separator: "\n").map { try JSONValue(parsing: Data($0.utf8)) }
            .filter { $0["event"] == "requested" }.compactMap { $0["detail"] }
    }

    /// The C library's SIGRTMIN + 5.
    static let noticeSignal: Int32 = 39

    /// What a sanlock daemon runs where somebody asks.
    func notice(to guest: Guest) throws {
        try Program(try Products.supervisor(), ["--lease-notice", "\(guest.pid)"]).run().expecting(.exit(0))
    }

    /// Has daemon and supervisor look at what is asked for.
    func look(at disk: String, of guest: Guest) throws {
        try guest.station.daemon.sanlock("client", "examine", "-r", try hosts.leaseText(disk)).expecting(.exit(0))
        try notice(to: guest)
        pause(milliseconds: 1000)
    }

    /// Writes a request record as another host's daemon would.
    func write(version: UInt64, mode: UInt32, beside disk: String) throws {
        var record = Data()
        func append<Integer: FixedWidthInteger>(_ value: Integer) {
            withUnsafeBytes(of: value.littleEndian) { record.append(contentsOf: $0) }
        }
        append(UInt32(0x0829_2011))
        append(UInt32(0x0001_0001))
        append(version)
        append(mode)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: try hosts.leasePath(disk)))
        defer { try? file.close() }
        try file.seek(toOffset: 512)
        try file.write(contentsOf: record)
        try file.synchronize()
    }
}

/// A pair of hosts of the test's own: a daemon that has just heard another host is deaf to it for six seconds.
func withStage(_ body: (RequestStage) throws -> Void) throws {
    try withTwoHosts { hosts in
        try withScratch { scratch in
            try body(
                RequestStage(
                    hosts: hosts, scratch: scratch, here: try Station(on: hosts.first, of: hosts, scratch),
                    there: try Station(on: hosts.second, of: hosts, scratch)))
        }
    }
}
