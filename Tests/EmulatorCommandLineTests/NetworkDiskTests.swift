import Testing

@testable import EmulatorCommandLine

@Suite struct NetworkDiskTests {
    /// Spellings of one disk, and its key.
    struct Spellings: Sendable, CustomTestStringConvertible {
        var key: String
        var options: [String]
        var testDescription: String { key }

        init(_ key: String, _ options: String...) {
            self.key = key
            self.options = options
        }
    }

    @Test(arguments: [
        Spellings(
            "W@ nbd://h:10809/e", "file=nbd://H/e", "file=nbd://h:10809/e", "file=nbd+tcp://h//e",
            "file=nbd:h:10809:exportname=e",
            "file.driver=nbd,file.host=h,file.export=e",
            "file.driver=nbd,file.server.type=inet,file.server.host=h,file.server.port=10809,file.export=e",
            "file=json:{'driver':'nbd',,'server':{'type':'inet',,'host':'h',,'port':'10809'},,'export':'e'}",
            "driver=nbd,host=h,port=10809,export=e"),
        Spellings(
            "W@ nbd://[::1]:7/", "file=nbd://[::1]:7", "file=nbd:[::1]:7",
            "driver=nbd,server.type=inet,server.host=::1,server.port=7"),
        Spellings(
            "W@ nbd+unix:///e?socket=/s", "file=nbd+unix:///e?socket=/s", "file=nbd:unix:/s:exportname=e",
            "driver=nbd,path=/s,export=e",
            "file=json:{'driver':'nbd',,'server':{'type':'unix',,'path':'/s'},,'export':'e'}"),
        Spellings("W@ nbd+unix:///?socket=/there/s", "file=nbd:unix:s", "file=nbd+unix://?socket=s"),
        Spellings("W@ nbd+vsock://2:10809/e", "driver=nbd,server.type=vsock,server.cid=2,server.port=10809,export=e"),
        Spellings(
            "W@ rbd:p/i", "file=rbd:p/i", "file=rbd:p/i:id=admin:key=AQ==:conf=/etc/ceph.conf",
            "driver=rbd,pool=p,image=i,user=x",
            "file=json:{'driver':'rbd',,'pool':'p',,'image':'i',,'server':[{'host':'m',,'port':'6789'}]}"),
        Spellings("W@ rbd:p/n/i", "file=rbd:p/n/i", "driver=rbd,pool=p,namespace=n,image=i"),
        Spellings("R@ rbd:p/i@s", "file=rbd:p/i@s:id=x", "file.driver=rbd,file.pool=p,file.image=i,file.snapshot=s"),
        Spellings("W@ rbd:p:q/i@j", "file=rbd:p\\:q/i\\@j", "driver=rbd,pool=p:q,image=i@j"),
        Spellings(
            "W@ iscsi://h:3260/iqn.2001-04.com:x/1", "file=iscsi://h/iqn.2001-04.com:x/1",
            "file=iscsi://u%secret@H:3260/iqn.2001-04.com:x/01",
            "file=iser://h/iqn.2001-04.com:x/1",
            "driver=iscsi,transport=tcp,portal=h,target=iqn.2001-04.com:x,lun=1,password=p",
            "file=json:{'driver':'iscsi',,'transport':'tcp',,'portal':'h:3260',,'target':'iqn.2001-04.com:x',,'lun':1}"),
        Spellings(
            "W@ gluster://h:24007/v/a/b", "file=gluster://h/v/a/b", "file=gluster+rdma://h:24007/v/a/b?debug=9",
            "file=json:{'driver':'gluster',,'volume':'v',,'path':'a/b',,'server':[{'type':'inet',,'host':'h',,'port':'24007'},,{'type':'inet',,'host':'k',,'port':'1'}]}",
            "driver=gluster,volume=v,path=/a/b,server.0.type=tcp,server.0.host=h,server.0.port=24007"),
        Spellings(
            "W@ gluster+unix:///v/a?socket=/s", "file=gluster+unix:///v/a?socket=/s",
            "driver=gluster,volume=v,path=a,server.0.type=unix,server.0.path=/s"),
        Spellings(
            "W@ sheepdog://localhost:7000/v", "file=sheepdog:v", "file=sheepdog:///v", "file=sheepdog:localhost:7000:v",
            "driver=sheepdog,vdi=v,server.type=inet,server.host=localhost,server.port=7000"),
        Spellings(
            "R@ sheepdog://h:1/v#t", "file=sheepdog://h:1/v#t", "file=sheepdog:h:1:v:t",
            "driver=sheepdog,vdi=v,tag=t,server.type=inet,server.host=h,server.port=1"),
        Spellings(
            "W@ ssh://h:22/d/x y", "file=ssh://u@h/d/x%20y", "file=ssh://h:22/d/x y?host_key_check=no",
            "driver=ssh,host=h,path=/d/x y,user=u",
            "file=json:{'driver':'ssh',,'server':{'host':'h',,'port':'22'},,'path':'/d/x y'}"),
        Spellings(
            "W@ nfs://h:2049/d/x", "file=nfs://h/d/x?uid=1", "driver=nfs,server.type=inet,server.host=h,path=/d/x"),
        Spellings(
            "R@ https://h:443/x", "file=https://u:p@h/x?token=t", "driver=https,url=https://h:443/x",
            "file.driver=https,file.url=https://h/x"),
        Spellings("R@ http://h:80/", "file=http://h"),
        Spellings("R@ ftp://h:21/x", "file=ftp://h/x,readonly=off"),
    ])
    func oneDiskHasOneKey(_ spellings: Spellings) throws {
        for options in spellings.options {
            #expect(try disks(["-drive", "if=none," + options]) == [spellings.key], "\(options)")
        }
    }

    @Test func secretsAreNotInOrigins() throws {
        for option in [
            "file=iscsi://user%secret@h/t/1", "file=https://u:secret@h/x", "file=rbd:p/i:id=a:key=secret",
            "driver=iscsi,portal=h,target=t,password=secret",
            "file=json:{\"driver\":\"iscsi\",,\"portal\":\"h\",,\"target\":\"t\",,\"password\": \"secret\"}",
        ] {
            let origins = try parse(["kvm", "-drive", option]).disks.map(\.origin)
            #expect(
                origins.count == 1 && origins.allSatisfy { !$0.contains("secret") && $0.contains("***") }, "\(origins)")
        }
        #expect(refusal(["-drive", "file=bad://u:secret@h/x"])?.contains("secret") == false)
    }
}
