import HostConfiguration
import SanlockLeases

extension HostConfiguration {
    /// What the sanlock driver needs of the settings.
    func sanlock() throws(Problem) -> SanlockSettings {
        var directory = settings.diskLeaseDirectory
        while directory.utf8.count > 1, directory.utf8.last == UInt8(ascii: "/") {
            directory.unicodeScalars.removeLast()
        }
        return SanlockSettings(
            leaseDirectory: directory, hostId: settings.hostId.map { UInt64($0) },
            ioTimeoutSeconds: UInt32(settings.ioTimeoutSeconds), leaseHosts: Int32(settings.leaseHosts),
            fileUser: try user(), fileGroup: try group())
    }
}
