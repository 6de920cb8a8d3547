import CLibcrypto

/// How libvirt's sanlock plugin names leases, so that both refuse each other's disks.
public enum LeaseName {
    /// The lockspace of automatic disk leases, and the name of its file in the lease directory.
    public static let lockspace = "__LIBVIRT__DISKS__"

    /// The lower-case hexadecimal MD5 of a disk's path as given: the resource's name and its file's.
    public static func ofDisk(_ path: String) -> String {
        var digest = [UInt8](repeating: 0, count: Int(MD5_DIGEST_LENGTH))
        let bytes = Array(path.utf8)
        _ = MD5(bytes, bytes.count, &digest)
        let digits = Array("0123456789abcdef")
        return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
