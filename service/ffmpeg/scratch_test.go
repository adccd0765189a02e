package ffmpeg_test
import ("testing";"net";"os/exec";"os";"fmt";"strings";"syscall";"time";"bytes";"path/filepath"
"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest")
var base=strings.Fields("-hide_banner -nostats -progress pipe:3 -stats_period 0.5 -loglevel repeat+level+info -y")
func start(t *testing.T,dir string,a string) *ffmpegtest.Process{
 return ffmpegtest.Start(t,ffmpegtest.Command{Path:ffmpegtest.Real(t),Dir:dir,Args:append(append([]string{},base...),strings.Fields(a)...)})}
func show(dir,f string,e ffmpegtest.Exit){
 d,_:=os.ReadFile(filepath.Join(dir,f))
 l:=e.Lines; if len(l)>4 {l=l[len(l)-4:]}
 fmt.Printf("   code %d sig %v took %v blocks %d end %v size %d moov %v\n   %q\n",e.Code,e.Signal,e.Took,len(e.Blocks),e.LastBlockEnd(),len(d),bytes.Contains(d,[]byte("moov")),l)
}
func TestScratch(t *testing.T){
 const lav="-re -f lavfi -i testsrc=size=64x64:rate=25 -c:v libx264 -preset ultrafast "
 dir:=t.TempDir()
 two:=func(name string, f func(p *ffmpegtest.Process)){ p:=start(t,dir,lav+"a.mp4"); p.AwaitBlocks(2); f(p); e:=p.Wait(); fmt.Println(name); show(dir,"a.mp4",e)}
 two("q",func(p *ffmpegtest.Process){p.Write("q")})
 two("TERM",func(p *ffmpegtest.Process){p.Signal(15)})
 two("HUP",func(p *ffmpegtest.Process){p.Signal(1)})
 two("2TERM",func(p *ffmpegtest.Process){p.Signal(15);p.Signal(2)})
 two("4TERM",func(p *ffmpegtest.Process){p.Signal(15);p.Signal(2);p.Signal(3);p.Signal(syscall.SIGXCPU)})
 two("2TERM spaced",func(p *ffmpegtest.Process){p.Signal(15);time.Sleep(time.Millisecond);p.Signal(15)})
 data,_:=exec.Command("ffmpeg",strings.Fields("-v quiet -f lavfi -i testsrc=size=64x64:rate=25:duration=9 -c:v mpeg2video -f mpegts -")...).Output()
 ln,_:=net.Listen("tcp","127.0.0.1:0"); defer ln.Close()
 go func(){ for{ c,err:=ln.Accept(); if err!=nil{return}; c.Write(data)}}()
 in:="-analyzeduration 500000 -i tcp://"+ln.Addr().String()
 st:=func(name,args,out string, f func(p *ffmpegtest.Process)){ p:=start(t,dir,args+" "+out); p.AwaitBlocks(1); time.Sleep(11*time.Second); fmt.Println(name,"running",p.Running(),"blocks",len(p.Arrivals())); f(p); e:=p.Wait(); show(dir,out,e)
   n:=len(e.Raw); if n>900 {n=900}; _ = n }
 sig:=func(p *ffmpegtest.Process,s ...syscall.Signal){for _,x:=range s { if !p.Running() {fmt.Println("  ended before",x);return}; p.Signal(x); time.Sleep(700*time.Millisecond)}}
 st("tcp stall q then TERMs","-re "+in+" -c copy","b.mp4",func(p *ffmpegtest.Process){p.Write("q");sig(p,15,15,15,15)})
 fifo:=filepath.Join(dir,"fifo"); syscall.Mkfifo(fifo,0600)
 ff,_:=os.OpenFile(fifo,os.O_RDWR,0); defer ff.Close(); go ff.Write(data)
 st("fifo stall","-re -analyzeduration 500000 -i fifo -c copy","c.mp4",func(p *ffmpegtest.Process){p.Write("q");sig(p,15,2,3,15)})
 p:=start(t,dir,"-re -f lavfi -i sine -re "+in+" -map 0 -map 1 -c:v libx264 -c:a aac d.mp4")
 time.Sleep(20*time.Second)
 for _,b:=range p.AwaitBlocks(1) {fmt.Printf("%d %v %d; ",b.Frame,b.OutTime,b.TotalSize)}
 fmt.Println(); p.Write("q"); sig(p,15,15,15,15); e:=p.Wait(); show(dir,"d.mp4",e)
}
func TestFakeScratch(t *testing.T){
 dir:=t.TempDir()
 go_:=func(name,a string, f func(p *ffmpegtest.Process)){
  p:=ffmpegtest.Start(t,ffmpegtest.Command{Path:ffmpegtest.Build(t),Dir:dir,Args:append(append([]string{},base...),strings.Fields(a)...)})
  f(p); e:=p.WaitMain(); fmt.Println(name); show(dir,"a.mp4",e); fmt.Println(e.Raw)}
 go_("q","-i /dev/null a.mp4",func(p *ffmpegtest.Process){p.AwaitBlocks(3);p.Write("q")})
 go_("TERM","-f lavfi -i sine a.mp4",func(p *ffmpegtest.Process){p.AwaitBlocks(3);p.Signal(15)})
 go_("4","-f lavfi -i sine -fake stall-fifo,after=1 a.mp4",func(p *ffmpegtest.Process){p.AwaitBlocks(1);p.Signal(15);p.Signal(2);p.Signal(3);p.Signal(syscall.SIGXCPU)})
 go_("segv","-f lavfi -i sine -fake crash=segv,after=1,orphans=100:100ms,grandchild=1s a.mp4",func(p *ffmpegtest.Process){p.AwaitBlocks(1);})
}
