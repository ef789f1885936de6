"""Every text of the lesson, in every mode, light and dark, has a contrast of 4.5 (WCAG AA) with what is behind it."""
# ruff: noqa: E501 - scripts

from __future__ import annotations

import pytest

from tests.teach.lessons import made
from tests.teach.test_lesson import browser, play

MEASURE = """
const rgba=s=>{const n=(s.match(/[\\d.]+/g)??[]).map(Number);return /^rgb/.test(s)?[n[0],n[1],n[2],n[3]??1]:/srgb/.test(s)?[n[0]*255,n[1]*255,n[2]*255,n[3]??1]:[0,0,0,0]};
const over=([r,g,b,a],c)=>[r*a+c[0]*(1-a),g*a+c[1]*(1-a),b*a+c[2]*(1-a),1];
const light=([r,g,b])=>{const f=v=>(v/=255)<=.04045?v/12.92:((v+.055)/1.055)**2.4;return .2126*f(r)+.7152*f(g)+.0722*f(b)};
const ratio=(a,b)=>{const [x,y]=[light(a),light(b)].sort((p,q)=>q-p);return (x+.05)/(y+.05)};
const opacity=e=>{let o=1;for(;e instanceof Element;e=e.parentNode)o*=Number(getComputedStyle(e).opacity);return o};
const paint=e=>{const s=getComputedStyle(e),c=rgba(e instanceof SVGElement?s.fill:s.backgroundColor);return [c[0],c[1],c[2],c[3]*(e instanceof SVGElement?Number(s.fillOpacity):1)*opacity(e)]};
const behind=(e,x,y)=>{  // all that is painted below a text, from the top down
  const all=document.elementsFromPoint(x,y),k=all.findIndex(o=>o===e||e.contains(o)||o.contains(e)&&!(e instanceof SVGElement));
  if(k<0)return null;
  let list=[];
  for(const o of all.slice(all.findIndex(o=>o===e||e.contains(o))<0?k:k+(e instanceof SVGElement?1:0))){if(o.tagName==='text'||o.tagName==='tspan'||o.tagName==='g')continue;const c=paint(o);if(c[3]>0)list.push(c);if(c[3]>=1)break}
  return [...list,[...rgba(getComputedStyle(document.body).backgroundColor)]].reverse().reduce((under,c)=>over(c,under))};
const measure=(where,bad)=>{
  const walk=document.createTreeWalker(document.body,NodeFilter.SHOW_TEXT);let seen=0,lost=0;
  for(let n;(n=walk.nextNode());){
    const e=n.parentElement;
    if(!n.data.trim()||e.closest('script,style,title,desc,.vh,#live,:disabled,.skip,option,datalist,pre#out'))continue;
    const s=getComputedStyle(e),text=e.closest('text')??e;
    if(s.visibility!=='visible'||!e.checkVisibility())continue;
    const r=document.createRange();r.selectNodeContents(n);const box=r.getBoundingClientRect();if(!box.width)continue;
    const x=box.left+box.width/2,y=box.top+box.height/2,under=behind(text,x,y);
    if(!under){lost++;continue}
    const c=rgba(text instanceof SVGElement?s.fill:s.color);c[3]*=opacity(e);
    const q=ratio(over(c,under),under);seen++;
    if(q<4.5)bad.push([where,n.data.trim().slice(0,30),Math.round(q*100)/100,text.getAttribute('class')??text.tagName]);
  }
  return [where,seen,lost]};
"""
MODES = """
const bad=[],D=Lesson.data.derivation.steps.length;out.seen=[];const look=w=>out.seen.push(measure(w,bad));
document.getElementById('zoom-fit').click();
for(const n of [0,9,20,28]){Lesson.turn('watch');Lesson.go(n);look('watch '+n)}
Lesson.turn('explore');look('explore');
Lesson.turn('quiz');Lesson.go(3);for(const k of ['write','choose','shape','ways']){document.querySelector(`[data-kind=${k}]`).click();look('quiz '+k)}
document.querySelector('[data-kind=write]').click();for(let k=0;k<3;k++)document.getElementById('hint').click();document.getElementById('show').click();look('quiz hints');
Lesson.turn('break');look('break');document.querySelector('[data-break]').click();look('broken');document.getElementById('guess').click();look('guess');
Lesson.turn('paths');document.querySelector('[data-route]').click();look('paths');
Lesson.turn('derive');for(const n of [0,1,3,D-2]){Lesson.go(n);look('derive '+n)}document.getElementById('tempt').click();look('tempting');
out.bad=bad;
"""


@browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(dark):
    found = play(made("batch_norm"), MEASURE + MODES, window=(2400, 1500), dark=dark)
    assert found["bad"] == []
    for where, seen, lost in found["seen"]:
        assert seen > 60, where
        assert lost < seen / 3, (where, seen, lost)
