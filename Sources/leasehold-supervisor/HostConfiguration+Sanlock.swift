import HostConfiguration
import SanlockLeases

extension HostConfiguration {
    /// What the sanlock driver needs of the settings.
    func sanlock() throws(Problem) -> SanlockSettings {
        SanlockSettings(
            leaseDirectory: settings.diskLeaseDirectory, hostId: settings.hostId.map { UInt64($0) },
            ioTimeoutSeconds: UInt32(settings.ioTimeoutSeconds), leaseHosts: Int32(settings.leaseHosts),
            fileUser: try user(), fileGroup: try group())
    }
}
