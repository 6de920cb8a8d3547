/// A small real guest: 32 MiB, no operating system, so that it stays in its firmware.
public enum QEMU {
    /// Its command line.
    ///
    /// - Parameters:
    ///   - disks: raw images, one virtio disk each.
    ///   - qmpSocket: where it serves QMP.
    ///   - more: further arguments, at the end.
    public static func command(disks: [String] = [], qmpSocket: String? = nil, more: [String] = []) -> [String] {
        var command = [
            "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none",
        ]
        for disk in disks {
            // A comma in a path is written twice.
            let escaped = disk.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
            command += ["-drive", "file=\(escaped),format=raw,if=virtio"]
        }
        if let qmpSocket { command += ["-qmp", "unix:\(qmpSocket),server=on,wait=off"] }
        return command + more
    }
}
