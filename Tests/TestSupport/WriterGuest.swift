import Foundation

/// A real guest that writes all the time: QEMU with a boot sector of ours and no operating system.
///
/// It reads the shared disk, tells where another has written there, and writes its own identity and a number that
/// grows, many times a second. `writer.s` has the boot sector's text and what is where on the disk. At most two
/// guests share a disk: those of the identities 1 and 2.
public struct WriterGuest: Sendable {
    /// What another guest had written when this one read.
    public struct Sighting: Hashable, Sendable {
        /// Whose it was.
        public let identity: UInt32
        /// The other's number.
        public let number: UInt32
        /// How often this guest had written by then; 0 for what it found at its start.
        public let ownNumber: UInt32
    }

    /// Who writes: 1 or 2.
    public let identity: UInt32
    /// The shared disk.
    public let disk: String
    /// What it boots from: its own, and read-only.
    public let bootDisk: String
    /// What it tells.
    public let report: String

    /// Makes the boot disk.
    ///
    /// - Parameters:
    ///   - identity: 1 or 2.
    ///   - disk: the shared disk as this guest's host sees it, at least 1 MiB.
    ///   - hertz: rounds a second, 19 to 1000. At 100 it takes a fifth of a core, at 25 a twentieth.
    public init(identity: UInt32, disk: String, hertz: UInt32 = 25, in scratch: Scratch) throws {
        self.identity = identity
        self.disk = disk
        let mark = UUID().uuidString.prefix(6)
        bootDisk = try scratch.disk("boot\(identity)-\(mark)")
        report = scratch.file("report\(identity)-\(mark)")
        let sector = Self.bootSector(identity: identity, timerDivisor: 1_193_182 / hertz)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: bootDisk))
        try file.write(contentsOf: Data(sector))
        try file.close()
    }

    /// Its command line. Two of them may have the disk open at once, as two hosts would.
    ///
    /// - Parameters:
    ///   - qmpSocket: where it serves QMP.
    ///   - report: where it tells what it sees, where that isn't `report`: each side of a migration has its own.
    ///   - more: further arguments, at the end.
    public func command(qmpSocket: String? = nil, report: String? = nil, more: [String] = []) -> [String] {
        var command = [
            "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none",
            "-drive", "file=\(bootDisk),format=raw,if=virtio,readonly=on",
            "-drive", "file=\(disk),format=raw,if=virtio,cache=directsync,file.locking=off",
            "-debugcon", "file:\(report ?? self.report)",
        ]
        if let qmpSocket { command += ["-qmp", "unix:\(qmpSocket),server=on,wait=off"] }
        return command + more
    }

    /// When it saw another's writing.
    public var sightings: [Sighting] { sightings(in: report).filter { $0.identity != identity } }

    /// When it saw a number that it had not written itself, under its own identity: one like it has run beside it, as the two
    /// sides of a migration may.
    public func doubles(in report: String) -> [Sighting] { sightings(in: report).filter { $0.identity == identity } }

    /// What it told in a report of its own or of another run of it.
    public func sightings(in report: String) -> [Sighting] {
        let text = String(decoding: FileManager.default.contents(atPath: report) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 6, words[0] == "sees", let other = UInt32(words[1], radix: 16),
                let number = UInt32(words[3], radix: 16), let own = UInt32(words[5], radix: 16)
            else { return nil }
            return Sighting(identity: other, number: number, ownNumber: own)
        }
    }

    // MARK: The boot sector

    private static let identityOffset = 4
    private static let divisorOffset = 8

    /// Assembled from `writer.s`, up to its last instruction or text.
    private static let code = """
        eb2e0000010000009c2e0000000000001000010000800000010000000000000010000200008000000000000000000000fa31c08ed88ec08e
        d0bc007cfcb034e643a1087ce64088e0e64066833e047c01750566ff06287cbe217de89400fbf4b442be107ce88300725d66813e00804c48
        5731753766a10480663b06047c750f668b0e0c7c67e324663b0e0880741dbe2a7de8670066a10880be307de85d0066a10c7cbe357de85300
        e8710066ff060c7cbf0080e81f00bf0082e81900b443be207ce826007397660fb6c4be3b7de82b00e84900eb8866b84c48573166ab66a104
        7c66ab66a10c7c66abc330c0b281cd13c3ac84c07404e6e9ebf7c36650e8f1ff6658b9080066c1c0046650240f04303c3976020427e6e966
        58e2eac3b00ae6e9c3737461727465640a007365657320002061742000206f776e20006572726f722000
        """

    /// The 512 bytes for this guest.
    static func bootSector(identity: UInt32, timerDivisor: UInt32) -> [UInt8] {
        let digits = code.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        var bytes = stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        bytes += [UInt8](repeating: 0, count: 510 - bytes.count) + [0x55, 0xaa]
        for (offset, value) in [(identityOffset, identity), (divisorOffset, timerDivisor)] {
            for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
        }
        return bytes
    }
}
