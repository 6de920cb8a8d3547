/// The names that the kernel gives to block devices in the order in which it finds them.
enum KernelName {
    /// Followed by letters, and the number of a partition: `sda`, `vdb2`.
    private static let lettered = ["sd", "hd", "vd", "xvd", "dasd", "ubd"]
    /// Followed by a number, and `p` and the number of a partition: `loop0`, `md127p1`.
    private static let numbered = [
        "dm-", "md", "loop", "nbd", "rbd", "zd", "sr", "scd", "mmcblk", "pmem", "bcache", "ublkb", "ram", "zram",
    ]

    /// Whether a name in /dev has that form.
    static func matches(_ name: String) -> Bool {
        lettered.contains { prefix in
            var rest = Rest(name, after: prefix)
            return rest.takeLetters() && (rest.isEmpty || rest.takeDigits() && rest.isEmpty)
        }
            || numbered.contains { prefix in
                var rest = Rest(name, after: prefix)
                return rest.takeDigits() && rest.isPartition
            } || isNonVolatileMemory(name)
    }

    /// `nvme0n1`, `nvme0n1p2`, and `nvme0c1n1`, which is one of several ways to a namespace.
    private static func isNonVolatileMemory(_ name: String) -> Bool {
        var rest = Rest(name, after: "nvme")
        guard rest.takeDigits() else { return false }
        if rest.take("c"), !rest.takeDigits() { return false }
        return rest.take("n") && rest.takeDigits() && rest.isPartition
    }

    /// What is left of a name to look at; nothing where it doesn't have the prefix.
    private struct Rest {
        private var bytes: Substring.UTF8View

        init(_ name: String, after prefix: String) {
            let all = Substring(name).utf8
            bytes = all.starts(with: prefix.utf8) ? all.dropFirst(prefix.utf8.count) : all.suffix(0)
        }

        var isEmpty: Bool { bytes.isEmpty }

        /// Nothing, or `p` and a number.
        var isPartition: Bool {
            var rest = self
            return rest.isEmpty || rest.take("p") && rest.takeDigits() && rest.isEmpty
        }

        mutating func take(_ letter: Unicode.Scalar) -> Bool {
            guard bytes.first == UInt8(ascii: letter) else { return false }
            bytes = bytes.dropFirst()
            return true
        }

        mutating func takeLetters() -> Bool { take(UInt8(ascii: "a")...UInt8(ascii: "z")) }
        mutating func takeDigits() -> Bool { take(UInt8(ascii: "0")...UInt8(ascii: "9")) }

        private mutating func take(_ range: ClosedRange<UInt8>) -> Bool {
            let rest = bytes.drop { range.contains($0) }
            defer { bytes = rest }
            return rest.count < bytes.count
        }
    }
}
