import Foundation

/// Programs of one sector, that QEMU's firmware starts from a disk: guests that do something without an operating system.
public enum BootSector {
    /// Writes a sector with a counter in its first four bytes (little-endian) to sectors 1, 2, … 1024, 1, … of a disk, one after the
    /// other through the firmware, and so with one write at a time in flight.
    ///
    /// - Parameter disk: the firmware's number of the disk; 0x80 is the first one, that it booted from.
    public static func writer(disk: UInt8 = 0x80) -> Data {
        sector([
            0xfa, 0x31, 0xc0,  // cli; xor ax, ax
            0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb,  // ds = es = ss = 0; sp = 0x7c00; sti
            0x66, 0xff, 0x06, 0x00, 0x80,  // again: inc dword [0x8000], the buffer
            0x66, 0xa1, 0x00, 0x80, 0x66, 0x25, 0xff, 0x03, 0x00, 0x00,  // eax = that & 0x3ff
            0x66, 0x40, 0x66, 0xa3, 0x36, 0x7c,  // the packet's sector = eax + 1
            0xbe, 0x2e, 0x7c, 0xb2, disk, 0xb8, 0x00, 0x43, 0xcd, 0x13,  // int 0x13, extended write
            0xeb, 0xdf,  // jmp again
            0x10, 0x00, 0x01, 0x00, 0x00, 0x80, 0x00, 0x00,  // the packet: one sector, from 0:0x8000
        ])
    }

    /// Puts the machine to sleep (ACPI S3, as QEMU's `pc` has it), again each time it is woken.
    public static let sleeper = sector([
        0xfa,  // cli
        0xba, 0x04, 0x06, 0xb8, 0x00, 0x24, 0xef,  // out 0x604, 0x2400
        0xf4, 0xeb, 0xfd,  // hlt, for ever
    ])

    private static func sector(_ code: [UInt8]) -> Data {
        Data(code + [UInt8](repeating: 0, count: 510 - code.count) + [0x55, 0xaa])
    }
}

extension Scratch {
    /// Makes a disk of 1 MiB that begins with a boot sector, and returns its path.
    public func bootDisk(_ name: String, _ sector: Data) throws -> String {
        let path = try disk(name)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.write(contentsOf: sector)
        return path
    }
}
